"""Filters about placing and moving: what is sent, what site.yml does about bots, what is said."""

from typing import Any

import pytest

from tests.ansible.conftest import load_plugin

filters = load_plugin("plugins/filter/fleet.py")


def fleet(**hosts: list[str]) -> dict[str, Any]:
    """As the API tells it: host → clients that belong there."""
    return {
        "hosts": [
            {"name": host.replace("_", "-"), "clients": len(ids), "draining": False}
            for host, ids in hosts.items()
        ],
        "clients": [
            {"id": each, "host": host.replace("_", "-"), "generation": 1, "channel": "simulator"}
            for host, ids in hosts.items()
            for each in ids
        ],
        "removed": [],
        "moves": [],
    }


def measured(name: str, bots: int) -> dict[str, Any]:
    measure = {"bots": 0, "totalMib": 9000, "freeMib": 8000, "processors": 2, "load": 0.1}
    return {"name": name, "measure": {**measure, "limits": {"bots": bots}}}


def ids(placements: list[dict[str, Any]]) -> list[str]:
    return [each["id"] for each in placements]


def test_missing_bots_are_brought_up_and_strays_taken_off() -> None:
    told = fleet(bots_1=["aa", "bb"], bots_2=["cc"]) | {"removed": ["dd"]}
    plan = filters.reconcile_plan(told, "bots-1", ["bb", "cc", "dd"])
    assert ids(plan["missing"]) == ["aa"]
    assert plan["stray"] == ["cc", "dd"]
    assert plan["left"] == ""


def test_nobody_is_stopped_when_nobody_can_be_asked() -> None:
    assert filters.reconcile_plan(None, "bots-1", ["aa", "bb"]) == {"missing": [], "stray": [], "left": ""}


def test_nobody_is_stopped_by_an_empty_database() -> None:
    plan = filters.reconcile_plan(fleet(), "bots-1", ["aa", "bb"])
    assert (plan["missing"], plan["stray"]) == ([], [])
    assert plan["left"] == "the database knows no client, and bots-1 has 2 bots: they stay"


def test_nobody_is_stopped_by_a_database_that_lost_most() -> None:
    plan = filters.reconcile_plan(fleet(bots_1=["aa"]), "bots-1", ["aa", "bb", "cc"])
    assert plan["stray"] == []
    assert "does not know bb, cc" in plan["left"]


def test_who_was_purged_while_the_host_was_away_is_taken_off() -> None:
    plan = filters.reconcile_plan(fleet(bots_1=["aa", "bb"]), "bots-1", ["aa", "bb", "gone"])
    assert (plan["stray"], plan["left"]) == (["gone"], "")


def test_who_is_on_the_way_is_left_to_its_move() -> None:
    told = fleet(bots_1=["aa"], bots_2=["bb"])
    told["moves"] = [
        {"clientId": each, "fromHost": "x", "toHost": "y", "finishedAt": None} for each in ("aa", "bb")
    ]
    plan = filters.reconcile_plan(told, "bots-1", ["bb"])
    assert (plan["missing"], plan["stray"]) == ([], [])


def test_a_client_without_a_host_is_not_taken_off() -> None:
    told = fleet(bots_1=["aa"])
    told["clients"].append({"id": "bb", "host": "", "generation": 0, "channel": "simulator"})
    assert filters.reconcile_plan(told, "bots-1", ["aa", "bb"])["stray"] == []


def test_a_drain_fills_the_others_and_says_who_has_no_room() -> None:
    told = fleet(bots_1=["aa", "bb", "cc"], bots_2=[], bots_3=["dd"])
    plan = filters.drain_plan(
        told, "bots-1", [measured("bots-1", 9), measured("bots-2", 1), measured("bots-3", 2)]
    )
    assert plan["moves"] == [{"client": "aa", "to": "bots-2"}, {"client": "bb", "to": "bots-3"}]
    assert plan["refused"].keys() == {"cc"}
    assert "bots-2: it has 1 of 1 bots; bots-3: it has 2 of 2 bots" in plan["refused"]["cc"]


def test_a_drain_finishes_the_moves_that_were_interrupted() -> None:
    told = fleet(bots_1=["aa"], bots_2=["bb"])
    told["moves"] = [{"clientId": "bb", "fromHost": "bots-1", "toHost": "bots-2", "finishedAt": None}]
    plan = filters.drain_plan(told, "bots-1", [measured("bots-2", 9)])
    assert plan["moves"] == [{"client": "aa", "to": "bots-2"}, {"client": "bb", "to": "bots-2"}]


def test_the_summary_of_a_drain_names_who_is_left_and_what_to_do() -> None:
    moves = [{"client": "aa", "to": "bots-2"}, {"client": "bb", "to": "bots-2"}]
    known = {
        "client aa": {"move_begun": {"json": {"id": 4}}, "move_ended": {"json": {"stage": "done"}}},
        "client bb": {"move_begun": {"json": {"id": 5}}, "drain_problem": "bb did not move: no space"},
    }
    summary = filters.drain_summary("bots-1", moves, {"cc": "no host takes another bot"}, known)
    assert summary["left"] == ["bb", "cc"]
    lines = summary["text"].splitlines()
    assert lines[:2] == ["bots-1: 1 moved, 2 left", "  aa -> bots-2"]
    assert "  bb NOT MOVED: bb did not move: no space" in lines
    assert any("playbooks/move-client.yml -e client=bb -e to=HOST" in line for line in lines)
    assert "can be rebooted" not in summary["text"]


def test_the_line_of_a_move() -> None:
    ended = {
        "stage": "done", "toHost": "bots-2", "fromHost": "bots-1", "generation": 3, "silentSeconds": 4.2,
        "withoutState": False, "reason": "",
    }  # fmt: skip
    copied = {"files": 3, "bytes": 2**20}
    assert filters.move_line("aa", {}, ended, copied) == (
        "aa runs on bots-2, generation 3; silent for 4.2 s, 3 files (1.0 MiB) copied and compared."
    )
    lost = filters.move_line("aa", {}, ended | {"withoutState": True}, {})
    assert "is lost: link its phone again" in lost
    back = filters.move_line("aa", {}, ended | {"stage": "failed", "reason": "called back"}, {})
    assert back == "aa runs on bots-2 again: called back"
    assert "nothing to move" in filters.move_line("aa", {"toHost": "bots-1"}, {}, {})


def test_what_is_said_of_a_move_that_neither_ended_nor_went_back() -> None:
    move = {"fromHost": "bots-1", "toHost": "bots-2"}
    text = filters.stuck_move("aa", move, "Stop the bot: bots-1 cannot be reached", "Turn back: no")
    assert "aa is between bots-1 and bots-2, and may be silent. The move broke off: Stop the bot: " in text
    for words in (
        "client=aa -e to=bots-2 or ",
        "client=aa -e to=bots-1 : it goes on",
        "old_host_is_dead=yes",
    ):
        assert words in text
    assert "may be silent" in filters.stuck_move("aa", move, "x", "y", {"state": "pending"})


def test_what_is_said_of_a_bot_that_answers_though_its_old_copy_is_left() -> None:
    move = {"fromHost": "bots-1", "toHost": "bots-2"}
    text = filters.stuck_move("aa", move, "bots-1 cannot be reached", runs={"state": "done"})
    assert text.startswith("aa runs on bots-2 and answers. What is left of the move broke off: bots-1 cannot")
    assert "playbooks/move-client.yml -e client=aa -e to=bots-2 : it removes the old copy" in text


def test_a_drain_registers_what_was_measured() -> None:
    known = {"client_headroom": {"measure": {"bots": 1}}, "client_host_bots": 9}
    assert filters.drain_order(known, "h", again=False) == {
        "draining": True,
        "measure": {"bots": 1, "limits": {"bots": 9}},
    }
    assert filters.drain_order({"client_headroom": {"unreachable": True}}, "h", again=True) == {
        "draining": False
    }


@pytest.mark.parametrize(
    ("value", "problem"),
    [("a", ""), ("", "to: give the host; allowed: a"), ("b", "to: 'b' is not a bot host; allowed: a")],
)
def test_a_host_that_has_to_be_named(value: str, problem: str) -> None:
    assert filters.required_host_problem(value, "to", ["a"]) == problem


def test_what_was_measured_and_the_limits_of_the_inventory() -> None:
    known = {"client_headroom": {"measure": {"bots": 1}, "states": ["aa"]}, "client_host_bots": 9}
    assert filters.measured_hosts({"h": known, "away": {}}, ["h", "away"]) == [
        {"name": "h", "measure": {"bots": 1, "limits": {"bots": 9}}}
    ]
    assert filters.host_with_state({"h": known, "away": {}}, ["h", "away"], "aa") == "h"
    assert filters.host_with_state({"h": known, "away": {}}, ["h", "away"], "bb") == ""
