"""Client ids and the names derived from them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orbitbot.foundation import names
from orbitbot.foundation.errors import InvalidInput

client_ids = st.from_regex(names.CLIENT_ID_PATTERN.removesuffix("$") + r"\Z")


@pytest.mark.parametrize(
    "value",
    [
        "",
        "a",
        "A",
        "Padaria",
        "1shop",
        "-shop",
        "padaria_flor",
        "pão",
        "a" * 32,
        "padaria\n",
        "../etc",
        "a b",
        "a\0b",
    ],
)
def test_a_bad_client_id_is_refused_with_its_value_and_what_is_allowed(value: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        names.check_client_id(value)
    assert repr(value) in caught.value.detail
    assert "lower-case letters" in caught.value.detail


@given(client_ids)
def test_every_client_id_gives_a_user_name_that_linux_takes(client_id: str) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9-]{0,31}", names.system_user(client_id))


@given(client_ids, client_ids)
def test_different_clients_share_no_name(first: str, second: str) -> None:
    if first == second:
        return
    for derive in (
        names.system_user,
        names.supervisor_program,
        names.supervisor_file,
        names.state_directory,
        names.settings_file,
        names.log_file,
        names.redis_prefix,
    ):
        assert derive(first) != derive(second)


def test_long_ids_with_the_same_beginning_get_different_users() -> None:
    first, second = "a" * 30 + "b", "a" * 30 + "c"
    assert names.system_user(first) != names.system_user(second)


def test_paths_stay_below_their_root() -> None:
    assert names.state_directory("padaria") == "/var/lib/orbitbot/bots/padaria"
    assert names.settings_file("padaria", root="/x") == "/x/padaria.toml"
