"""The strategy that playbooks run with, as the Makefile chooses it."""

import importlib.util


def fast_strategy() -> dict[str, str]:
    """Environment that has Ansible use Mitogen; empty where Mitogen is not there. Host keys stay checked."""
    spec = importlib.util.find_spec("ansible_mitogen")
    if spec is None or spec.submodule_search_locations is None:
        return {}
    return {
        "ANSIBLE_STRATEGY_PLUGINS": f"{spec.submodule_search_locations[0]}/plugins/strategy",
        "ANSIBLE_STRATEGY": "mitogen_linear",
        "ANSIBLE_DEPRECATION_WARNINGS": "False",
    }
