"""Filters about placing and moving bots: what is sent to the API, and what is said to people."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from orbitbot.contracts.fleet import MeasuredHost
from orbitbot.fleet.headroom import Hosts
from orbitbot.foundation.errors import Conflict

_LIMITS: Final = {
    "bots": "client_host_bots",
    "botMib": "client_host_bot_mib",
    "spareMib": "client_host_spare_mib",
    "load": "client_host_load",
}
# Parameters that belong to one call of the role, and are no host's.
_OF_A_CALL: Final = frozenset({"client_id", "client_headroom", "client_view", "client_api_token"})
_READY: Final = ("connected", "waiting_for_pairing", "paused", "logged_out", "restricted", "banned")
_REASON_LENGTH: Final = 900  # characters


def plain(value: Any) -> Any:
    """A value in plain containers: Ansible's own evaluate their content when it is read."""
    if isinstance(value, Mapping):
        return {str(key): plain(value[key]) for key in value}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return value


def required_host_problem(value: str, name: str, hosts: Sequence[str]) -> str:
    """What is wrong with a bot host that has to be named."""
    if value in hosts:
        return ""
    what = f"{value!r} is not a bot host" if value else "give the host"
    return f"{name}: {what}; allowed: {', '.join(hosts)}"


def measured_host(known: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A host as `POST /api/fleet/placements` takes it: what was measured, and the limits of the inventory.

    Args:
        known: the host's variables, with what the module `bot_headroom` found.
    """
    limits = {field: known[variable] for field, variable in _LIMITS.items() if variable in known}
    return {"name": name, "measure": {**known["client_headroom"]["measure"], "limits": limits}}


def measured_hosts(hostvars: Mapping[str, Any], names: Sequence[str]) -> list[dict[str, Any]]:
    """Those of the hosts that could be measured."""
    return [
        measured_host(hostvars[name], name)
        for name in names
        if "measure" in hostvars[name].get("client_headroom", {})
    ]


def present_places(
    wanted: Sequence[Mapping[str, Any]], fleet: Mapping[str, Any], hosts: Sequence[str]
) -> list[dict[str, Any]]:
    """Where clients are, for check mode; a new one stands for any host, the wanted or the first."""
    known = {each["id"]: each for each in fleet["clients"]}
    return [
        {
            "id": each["id"],
            "host": known.get(each["id"], {}).get("host") or each.get("host") or hosts[0],
            "generation": known.get(each["id"], {}).get("generation", 0),
            "channel": known.get(each["id"], {}).get("channel") or each.get("channel") or "neonize",
        }
        for each in wanted
    ]


def host_with_state(hostvars: Mapping[str, Any], names: Sequence[str], client: str) -> str:
    """The measured host that keeps the state of a client that was removed; empty if none does."""
    having = [name for name in names if client in hostvars[name].get("client_headroom", {}).get("states", [])]
    return having[0] if len(having) == 1 else ""


def ready_clients(
    clients: Sequence[Mapping[str, Any]],
    wanted: Sequence[Mapping[str, Any]],
    started: Sequence[str],
    before: Sequence[Mapping[str, Any]],
) -> list[Mapping[str, Any]]:
    """Those of the wanted clients whose bots have reported themselves ready.

    Args:
        clients: as `GET /api/clients` tells them now, `before` as it told them before the bots of `started`
            were started: what they said then says nothing about the processes that run now.
    """
    seen = {each["id"]: each["botSeenAt"] for each in before}
    ids = {each["id"] for each in wanted}
    return [
        each
        for each in clients
        if each["id"] in ids
        and each["botState"] in _READY
        and (each["id"] not in started or each["botSeenAt"] != seen.get(each["id"]))
    ]


def reconcile_plan(fleet: Mapping[str, Any] | None, host: str, programs: Sequence[str]) -> dict[str, Any]:
    """What site.yml does about the bots of one host.

    Only what the database says in so many words ends a bot: that its client is removed, or belongs on another
    host. A client that the database does not know at all may as well be one that the database has lost.

    Args:
        fleet: as `GET /api/fleet` tells it; None when nobody could be asked.
        programs: clients of which supervisor has a program here.

    Returns:
        `missing`, to be brought up (placements); `stray`, to be taken off; `left`, why others stay.
    """
    nothing: dict[str, Any] = {"missing": [], "stray": [], "left": ""}
    if fleet is None:
        return nothing
    if not fleet["clients"] and not fleet["removed"]:
        why = f"the database knows no client, and {host} has {len(programs)} bots: they stay"
        return {**nothing, "left": why if programs else ""}
    moving = {each["clientId"] for each in fleet["moves"] if each["finishedAt"] is None}
    here = {each["id"]: each for each in fleet["clients"] if each["host"] == host}
    elsewhere = {each["id"] for each in fleet["clients"] if each["host"] not in ("", host)}
    ended = elsewhere | set(fleet["removed"])
    unknown = sorted(set(programs) - here.keys() - ended - {each["id"] for each in fleet["clients"]})
    # A few that nobody knows were purged while this host was away. Many are a database that was lost.
    purged = unknown if len(unknown) <= len(here) else []
    left = [each for each in unknown if each not in purged]
    return {
        "missing": [each for name, each in here.items() if name not in programs and name not in moving],
        "stray": sorted((set(programs) & ended | set(purged)) - moving),
        "left": f"the database does not know {', '.join(left)}, and few others of {host}: they stay"
        if left
        else "",
    }


def drain_order(known: Mapping[str, Any], name: str, *, again: bool) -> dict[str, Any]:
    """The body of `PUT /api/fleet/hosts/{name}`, with the host's measure where it could be reached.

    Args:
        again: whether the host takes bots again.
    """
    measured = "measure" in known.get("client_headroom", {})
    measure = {"measure": measured_host(known, name)["measure"]} if measured else {}
    return {"draining": not again, **measure}


def drain_plan(fleet: Mapping[str, Any], host: str, measured: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Where each client of a host goes.

    Returns:
        `moves`, each with `client` and `to`; `refused`, client → why it has to stay.
    """
    targets = [
        msgspec.json.decode(json.dumps(plain(each)), type=MeasuredHost)
        for each in measured
        if each["name"] != host
    ]
    placed = {each["name"]: each["clients"] for each in fleet["hosts"]}
    room = Hosts(targets, placed, [each["name"] for each in fleet["hosts"] if each["draining"]])
    under_way = {each["clientId"]: each["toHost"] for each in fleet["moves"] if each["finishedAt"] is None}
    plan: dict[str, Any] = {"moves": [], "refused": {}}
    leaving = {each["clientId"] for each in fleet["moves"] if each["fromHost"] == host}
    for client in fleet["clients"]:
        going = under_way.get(client["id"]) if client["id"] in leaving else None
        if going and going != host:
            plan["moves"].append({"client": client["id"], "to": going})
        elif client["host"] == host:
            try:
                plan["moves"].append({"client": client["id"], "to": room.choose()})
            except Conflict as error:
                plan["refused"][client["id"]] = error.detail
    return plan


def drain_summary(
    host: str, moves: Sequence[Mapping[str, str]], refused: Mapping[str, str], hostvars: Mapping[str, Any]
) -> dict[str, Any]:
    """What became of a drain: `text` for people, and `left`, the clients that still belong on the host."""
    lines, left = [], dict(refused)
    for move in moves:
        known = hostvars[f"client {move['client']}"]
        ended = known.get("move_ended", {}).get("json", {})
        if known.get("move_begun", {}).get("json", {}).get("id") == 0 or ended.get("stage") == "done":
            lines.append(f"  {move['client']} -> {move['to']}")
        else:
            left[move["client"]] = known.get("drain_problem") or "a host could not be reached on the way"
    moved = len(lines)
    lines.insert(0, f"{host}: {moved} moved, {len(left)} left")
    for client, why in sorted(left.items()):
        lines += [
            f"  {client} NOT MOVED: {why}",
            f"    mend that, then: playbooks/move-client.yml -e client={client} -e to=HOST, or drain again",
        ]
    if not left:
        lines.append(f"{host} runs no client's bot and gets none: it can be rebooted or removed.")
    return {"text": "\n".join(lines), "left": sorted(left)}


def bot_parameters(known: Mapping[str, Any]) -> dict[str, Any]:
    """A host's own parameters of the role `client`."""
    return {
        name: value for name, value in known.items() if name.startswith("client_") and name not in _OF_A_CALL
    }


def reason(result: Mapping[str, Any]) -> str:
    """Why a task failed, in one line."""
    words = result.get("msg") or result.get("stderr") or "no reason was given"
    return " ".join(str(words).split())[:_REASON_LENGTH]


def stuck_move(
    client: str,
    move: Mapping[str, Any],
    why: str,
    why_not_back: str = "",
    runs: Mapping[str, Any] | None = None,
) -> str:
    """What to say of a move that could neither be finished nor be taken back.

    Args:
        move: as the API told it last.
        why_not_back: nothing, where the bot answers and goes nowhere.
        runs: the answer of the order that the bot was given to see it answer, if it came so far.
    """
    old, new = move["fromHost"], move["toHost"]
    command = f"playbooks/move-client.yml -e client={client} -e to="
    if (runs or {}).get("state") == "done":
        return (
            f"{client} runs on {new} and answers. What is left of the move broke off: {why_not_back or why}. "
            f"When {old} can be reached again, run {command}{new} : it removes the old copy there. If {old} "
            "is down for good, add -e old_host_is_dead=yes (docs/runbooks/move-client.md)"
        )
    return (
        f"{client} is between {old} and {new}, and may be silent. The move broke off: {why}. The way back "
        f"did, too: {why_not_back}. When the host that is named can be reached again, or is mended, run "
        f"{command}{new} or {command}{old} : it goes on, and exactly one bot runs in the end. If a host "
        "is down for good, give the other one as `to`, with -e old_host_is_dead=yes"
        " (docs/runbooks/move-client.md)"
    )


def move_line(
    client: str, begun: Mapping[str, Any], ended: Mapping[str, Any], copied: Mapping[str, Any]
) -> str:
    """The last line of a move."""
    if not ended:
        return f"{client} runs on {begun['toHost']}; there was nothing to move."
    if ended["stage"] == "failed":
        return f"{client} runs on {ended['toHost']} again: {ended['reason']}"
    line = f"{client} runs on {ended['toHost']}, generation {ended['generation']}"
    line += f"; silent for {ended['silentSeconds']:.1f} s"
    if copied.get("files"):
        line += f", {copied['files']} files ({copied['bytes'] / 2**20:.1f} MiB) copied and compared"
    if ended["withoutState"]:
        line += (
            f". What it had on {ended['fromHost']} is lost: link its phone again, playbooks/pair-client.yml"
        )
    return f"{line}."


class FilterModule:
    """The filters' names in templates."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name → function."""
        return {
            "orbitbot_bot_parameters": bot_parameters,
            "orbitbot_drain_order": drain_order,
            "orbitbot_drain_plan": drain_plan,
            "orbitbot_drain_summary": drain_summary,
            "orbitbot_host_with_state": host_with_state,
            "orbitbot_measured_host": measured_host,
            "orbitbot_measured_hosts": measured_hosts,
            "orbitbot_move_line": move_line,
            "orbitbot_present_places": present_places,
            "orbitbot_ready_clients": ready_clients,
            "orbitbot_reason": reason,
            "orbitbot_reconcile_plan": reconcile_plan,
            "orbitbot_required_host_problem": required_host_problem,
            "orbitbot_stuck_move": stuck_move,
        }
