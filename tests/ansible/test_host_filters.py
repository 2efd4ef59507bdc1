"""`to_toml`, and what `likely_cause` makes of an error."""

import tomllib
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from tests.ansible.conftest import load_plugin

toml = load_plugin("plugins/filter/toml.py")
callback = load_plugin("plugins/callback/likely_cause.py")


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"port": 3000, "ratio": 0.5, "on": True, "off": False, "name": "padaria"},
        {"urls": ["http://a", "http://b"], "none": [], "numbers": [1, 2]},
        {"listen": {"port": 1}, "plain": "after a table in the mapping, before it in the file"},
        {"a": {"b": {"c": 1}, "d": 2}},
        {"quotes": 'a "b" \\ c', "lines": "one\ntwo\ttabbed", "words": "pão, açaí 🍞", "delete": "\x7f"},
        {"a key with blanks": 1, "dotted.key": 2, "hyphen-ated": 3, "ç": 4},
    ],
)
def test_what_is_written_is_read_back_the_same(settings: dict[str, Any]) -> None:
    assert tomllib.loads(toml.to_toml(settings)) == settings


def test_null_is_left_out() -> None:
    assert toml.to_toml({"a": None, "b": 1}) == "b = 1\n"


def test_what_toml_cannot_hold_is_named() -> None:
    with pytest.raises(AnsibleFilterError, match=r"listen\.port is NoneType"):
        toml.to_toml({"listen": {"port": [None]}})


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("E: Unable to locate package redis-server", "apt-get update"),
        ("E: Could not get lock /var/lib/dpkg/lock-frontend", "another package manager"),
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
        (
            "nginx: [emerg] bind() to 0.0.0.0:443 failed (98: Address already in use)",
            "another process holds the port",
        ),
        ("Decryption failed (no vault secrets were found that could decrypt)", "docs/operations/secrets.md"),
        ("orbitbot-ai does not run: FATAL (Exited too quickly)", "its log above"),
        (
            "supervisor does not answer on /run/supervisor.sock: Connection refused",
            "service supervisor start",
        ),
        ("Status code was 503 and not [200]: HTTP Error 503: Service Unavailable", "/readyz"),
        ("Status code was -1 and not [200]: Request failed: Connection refused", "does not listen"),
        ("Hash mismatch for `msgspec==0.22.0`", "the one that the lock file names"),
    ],
)
def test_an_error_points_to_its_cause(text: str, cause: str) -> None:
    assert cause in callback.likely_cause(text)


def test_an_unknown_error_is_left_to_speak_for_itself() -> None:
    assert callback.likely_cause("the moon is full") == ""


def test_the_text_of_a_loop_is_that_of_its_failed_items() -> None:
    result = {
        "msg": "One or more items failed",
        "results": [{"msg": "fine"}, {"failed": True, "msg": "bad", "stderr": "worse"}],
    }
    assert callback.error_text(result) == "One or more items failed\nbad\nworse"
