"""Filters of playbooks/status.yml: what the hosts told, as one report, and the report as one screen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

_BOT_PREFIX: Final = "bot-"
_RUNS: Final = 5  # runs that are shown
_MOVES: Final = 5  # … and moves
_NAMED: Final = 5  # names that are shown of a longer list


def status_report(
    hostvars: Mapping[str, Any],
    hosts: Sequence[str],
    clients: Sequence[Mapping[str, Any]],
    problem: str,
    runs: Sequence[Mapping[str, Any]] = (),
    *,
    fleet: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What is known of the fleet, for `-e format=json` and for the screen.

    Args:
        hostvars: with what the playbook registered: `host` (module host_status) and `readiness`.
        clients: as `GET /api/clients` tells them.
        problem: why the API could not be asked; empty when it was.
        runs: as `last_runs` returns them.
        fleet: as `GET /api/fleet` tells it.
    """
    return {
        "fleet": dict(fleet or {}),
        "hosts": {host: _host(hostvars[host]) for host in hosts},
        "api_problem": problem,
        "runs": list(runs),
        "clients": [
            {
                "id": each["id"],
                "state": each["state"],
                "channel": each["channel"],
                "bot": each["botState"],
                "reason": each["botReason"],
                "until": each.get("botUntil"),
                "warning": each.get("botWarning", ""),
                "health": each.get("health"),
                "release": each["botRelease"],
                "seen_at": each["botSeenAt"],
            }
            for each in clients
        ],
    }


def _host(known: Mapping[str, Any]) -> dict[str, Any]:
    if "readiness" not in known:
        return {"reachable": False}
    host = known["host"]
    return {
        "reachable": True,
        "release": host["release"],
        "deployed_at": host["deployed_at"],
        "supervisor": host["supervisor"],
        "services": [_service(each, host) for each in known["readiness"]["results"]],
        "bots": {
            name.removeprefix(_BOT_PREFIX): state
            for name, state in host["programs"].items()
            if name.startswith(_BOT_PREFIX)
        },
        "bot_releases": dict(host["bot_releases"]),
        "seals": host["seals"],
        "disks": host["disks"],
        "backups": [dict(each) for each in known.get("backups", {}).get("jobs", [])],
        "backups_problem": known.get("backups", {}).get("problem", ""),
    }


def backup_alarms(hostvars: Mapping[str, Any], hosts: Sequence[str]) -> list[str]:
    """What is wrong with the backups of the hosts that were reached, one sentence each."""
    said = []
    for name in hosts:
        told = hostvars[name].get("backups", {})
        if told.get("problem"):
            said.append(f"{name}: {told['problem']}")
        said += [f"{name}: {job['job']}: {job['alarm']}" for job in told.get("jobs", []) if job["alarm"]]
    return said


def _backup_line(job: Mapping[str, Any]) -> str:
    when = "never yet" if job["age_hours"] is None else f"{job['age_hours']:.1f} h ago"
    size = f", {job['size'] / 2**20:.1f} MiB" if job["size"] else ""
    alarm = job["alarm"]
    return f"  backup   {job['job']} {when}{size}  {f'ALARM: {alarm}' if alarm else job['detail']}".rstrip()


def _service(answer: Mapping[str, Any], host: Mapping[str, Any]) -> dict[str, Any]:
    name = answer["item"]["name"]
    slot = host["slots"].get(name, "")
    told = answer.get("json", {})
    checks = told.get("checks", {})
    return {
        "name": name,
        "ready": answer["status"] == 200,  # noqa: PLR2004  (success, in HTTP)
        "version": told.get("version", ""),
        "slot": slot,
        "program": host["programs"].get(f"orbitbot-{name}-{slot}", "no program"),
        "checks": {check: result["detail"] for check, result in checks.items()},
        "failing": sorted(check for check, result in checks.items() if not result["ok"]),
        "problem": "" if told else str(answer.get("msg", "no answer")),
    }


def status_screen(report: Mapping[str, Any]) -> str:
    """The report for people: at most a line for each service, disk and client that is not well."""
    lines: list[str] = []
    for name, host in report["hosts"].items():
        lines += _host_lines(name, host)
    if report["api_problem"]:
        lines.append(f"clients: unknown: {report['api_problem']}")
    else:
        lines += _client_lines(report["clients"])
        lines += _fleet_lines(report["fleet"])
    if report["runs"]:
        lines += ["last runs", *(f"  {_run_line(run)}" for run in report["runs"])]
    return "\n".join(lines)


def last_runs(
    records: Sequence[Sequence[Mapping[str, Any]]], inventory: str, count: int = _RUNS
) -> list[Mapping[str, Any]]:
    """The last runs on an inventory, newest first.

    Args:
        records: of module `run_records`, first those of the host that holds the lock, then the controller's
            own; only the latter have runs that failed before they asked for the lock.
        inventory: its directory; runs that the controller started for another one are left out.
    """
    fleet, own = records
    found = {run["id"]: run for run in own if _is_of(run, inventory)}
    for run in fleet:
        known = found.get(run["id"], {})
        state = {"state": "refused"} if run["state"] == "refused" else {}
        found[run["id"]] = {**run, **known, "locked_at": run["locked_at"], **state}
    return sorted(found.values(), key=lambda run: str(run["id"]), reverse=True)[:count]


def _is_of(run: Mapping[str, Any], inventory: str) -> bool:
    return any(
        Path(path) in (Path(inventory), *Path(inventory).glob("hosts*")) for path in run["inventories"]
    )


def _run_line(run: Mapping[str, Any]) -> str:
    what = [run["playbook"], run.get("client") or run.get("values", {}).get("client", "")]
    what += [f"--limit {run['limit']}" if run.get("limit") else "", "--check" if run.get("check") else ""]
    hosts = run.get("hosts", {})
    changed = sum(counts["changed"] for counts in hosts.values())
    undone = [host for host, counts in hosts.items() if counts["failed"] or counts["unreachable"]]
    if run["state"] == "ok":
        result = f"ok, {changed} changed on {len(hosts)} hosts"
    elif undone and run["state"] != "refused":
        result = f"FAILED on {', '.join(undone)} ({run['failure']})"
    else:
        result = run["state"] if run["state"] == "running" else run["state"].upper()
    times = f"{run['started_at']} to {run['ended_at'][11:19] or '…'}"
    who = f"{run['operator']} on {run['controller']}, {run.get('version', 'unknown release')}"
    return f"{times}  {' '.join(filter(None, what))}  {result}  by {who}"


def _host_lines(name: str, host: Mapping[str, Any]) -> list[str]:
    if not host["reachable"]:
        return [f"{name}  NOT REACHABLE"]
    release = (
        f"release {host['release']}, deployed {host['deployed_at']}" if host["release"] else "no release"
    )
    lines = [f"{name}  {release}"]
    for service in host["services"]:
        word = "ready" if service["ready"] else "NOT READY"
        facts = "; ".join(f"{check}: {detail}" for check, detail in service["checks"].items())
        shown = f"  {service['name']:<8} {word:<9} {service['program']:<8} {facts or service['problem']}"
        other = service["version"] not in ("", host["release"])
        lines.append(shown.rstrip() + (f"; ON RELEASE {service['version']}" if other else ""))
    if host["supervisor"] != "running":
        lines.append(f"  supervisor NOT RUNNING: {host['supervisor']}")
    if host["bots"]:
        counted = Counter(host["bots"].values())
        lines.append(
            "  bots     " + ", ".join(f"{count} {state}" for state, count in sorted(counted.items()))
        )
    lines += _bot_release_lines(host)
    lines += _seal_lines(host["seals"])
    lines += [
        f"  disk     {disk['mount']} {disk['used_percent']} % used, {disk['free_gib']} GiB free"
        for disk in host["disks"]
    ]
    lines += [_backup_line(job) for job in host["backups"]]
    if host["backups_problem"]:
        lines.append(f"  backup   ALARM: {host['backups_problem']}")
    return lines


def _bot_release_lines(host: Mapping[str, Any]) -> list[str]:
    """One line for each release that bots run from beside the current one: it has the same bot."""
    found: dict[str, list[str]] = {}
    for bot, release in sorted(host["bot_releases"].items()):
        if release != host["release"]:
            found.setdefault(release, []).append(bot)
    return [
        f"  release  {release} is run by {len(bots)} bots: {_few(bots)}" for release, bots in found.items()
    ]


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")


def _seal_lines(seals: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """One line for all bots that are sealed off alike."""
    alike: dict[str, list[str]] = {}
    for bot, seal in sorted(seals.items()):
        held = {"memory_mib": "MiB", "cpu_percent": "% of a core", "tasks": "tasks", "open_files": "files"}
        words = [f"{seal[name]} {unit}" for name, unit in held.items() if seal[name] is not None]
        words += [f"NO LIMIT of {name.partition('_')[0]}" for name in held if seal[name] is None]
        words += ["sandbox" if seal["sandbox"] else "NO SANDBOX"]
        alike.setdefault(f"{seal['by']}: {', '.join(words)}", []).append(bot)
    most = max((len(bots) for bots in alike.values()), default=0)
    return [
        f"  sealed   {how} ({len(bots)} bots)"
        if len(bots) == most > 1
        else f"  sealed   {how} ({', '.join(bots)})"
        for how, bots in sorted(alike.items(), key=lambda each: -len(each[1]))
    ]


def _client_lines(clients: Sequence[Mapping[str, Any]]) -> list[str]:
    active = [each for each in clients if each["state"] != "removed"]
    states = Counter(each["bot"] for each in active)
    summary = ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "none yet"
    lines = [f"clients  {summary}"]
    for each in active:
        health = _health_line(each["health"])
        if each["bot"] != "connected" or each["warning"] or health:
            lines += filter(None, (_client_line(each), health))
    return lines


def _health_line(health: Mapping[str, Any] | None) -> str:
    """How a number does that needs something done; empty while all is well, or nothing is known."""
    if not health or not health["trouble"]:
        return ""
    counts = (
        f"new chats {health['newChats']} of {health['newChatsLimit']} today, "
        f"{health['reconnects']} reconnects, {health['undelivered']} undelivered"
    )
    return f"    number: {counts}. {health['advice']}"


def _fleet_lines(fleet: Mapping[str, Any]) -> list[str]:
    """Clients by host, what about them is not as declared, and the last moves."""
    lines = []
    for host in fleet.get("hosts", []):
        states = Counter(each["state"] for each in fleet["clients"] if each["host"] == host["name"])
        counted = ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "no client"
        room = f"room for {host['room']}" if host["room"] else f"NO ROOM: {host['fullBecause']}"
        lines.append(f"  on {host['name']}: {counted}; {room}")
    lines += [
        f"  {each['id']} NOT AS DECLARED: {each['wrong']}"
        for each in fleet.get("clients", [])
        if each["wrong"]
    ]
    moves = fleet.get("moves", [])[:_MOVES]
    return [*lines, *(["last moves"] if moves else []), *(f"  {_move_line(each)}" for each in moves)]


def _move_line(move: Mapping[str, Any]) -> str:
    way = f"{move['fromHost']} -> {move['toHost']}"
    silent = f", silent for {move['silentSeconds']:.1f} s" if move["silentSeconds"] is not None else ""
    stage = move["stage"] if move["finishedAt"] else f"INTERRUPTED or under way ({move['stage']})"
    reason = f": {move['reason']}" if move["reason"] else ""
    return f"{move['startedAt'][:19]}  {move['clientId']} {way}  {stage}{silent}{reason}  by {move['author']}"


def _client_line(client: Mapping[str, Any]) -> str:
    """A client that is not well, or soon will not be."""
    until = f"until {client['until'][:16].replace('T', ' ')} UTC" if client["until"] else ""
    warning = f"WARNING: {client['warning']}" if client["warning"] else ""
    parts = (client["bot"], until, client["reason"], warning)
    return f"  {client['id']}: {' '.join(filter(None, parts))}"


class FilterModule:
    """The filters' names in templates."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name → function."""
        return {
            "orbitbot_last_runs": last_runs,
            "orbitbot_backup_alarms": backup_alarms,
            "orbitbot_status_report": status_report,
            "orbitbot_status_screen": status_screen,
        }
