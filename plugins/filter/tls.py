"""Filters about certificates."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from typing import Any


def subject_names(names: Sequence[str]) -> list[str]:
    """Names and addresses as a certificate's subject alternative names are written."""
    return [f"{'IP' if _is_address(name) else 'DNS'}:{name}" for name in names]


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class FilterModule:
    """Makes the filters known to Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name in templates → function."""
        return {"orbitbot_subject_names": subject_names}
