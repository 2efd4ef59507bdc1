"""Filters of playbooks/status.yml: what the hosts told, as one report, and the report as one screen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

_BOT_PREFIX: Final = "bot-"


def status_report(
    hostvars: Mapping[str, Any], hosts: Sequence[str], clients: Sequence[Mapping[str, Any]], problem: str
) -> dict[str, Any]:
    """What is known of the fleet, for `-e format=json` and for the screen.

    Args:
        hostvars: with what the playbook registered: `host` (module host_status) and `readiness`.
        clients: as `GET /api/clients` tells them.
        problem: why the API could not be asked; empty when it was.
    """
    return {
        "hosts": {host: _host(hostvars[host]) for host in hosts},
        "api_problem": problem,
        "clients": [
            {
                "id": each["id"],
                "state": each["state"],
                "channel": each["channel"],
                "bot": each["botState"],
                "reason": each["botReason"],
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
        "services": [_service(each, host["programs"]) for each in known["readiness"]["results"]],
        "bots": {
            name.removeprefix(_BOT_PREFIX): state
            for name, state in host["programs"].items()
            if name.startswith(_BOT_PREFIX)
        },
        "disks": host["disks"],
    }


def _service(answer: Mapping[str, Any], programs: Mapping[str, str]) -> dict[str, Any]:
    name = answer["item"]["name"]
    told = answer.get("json", {})
    checks = told.get("checks", {})
    return {
        "name": name,
        "ready": answer["status"] == 200,  # noqa: PLR2004  (success, in HTTP)
        "version": told.get("version", ""),
        "program": programs.get(f"orbitbot-{name}", "no program"),
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
    return "\n".join(lines)


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
        lines.append(
            f"  {service['name']:<8} {word:<9} {service['program']:<8} {facts or service['problem']}".rstrip()
        )
    if host["supervisor"] != "running":
        lines.append(f"  supervisor NOT RUNNING: {host['supervisor']}")
    if host["bots"]:
        counted = Counter(host["bots"].values())
        lines.append(
            "  bots     " + ", ".join(f"{count} {state}" for state, count in sorted(counted.items()))
        )
    lines += [
        f"  disk     {disk['mount']} {disk['used_percent']} % used, {disk['free_gib']} GiB free"
        for disk in host["disks"]
    ]
    return lines


def _client_lines(clients: Sequence[Mapping[str, Any]]) -> list[str]:
    active = [each for each in clients if each["state"] != "removed"]
    states = Counter(each["bot"] for each in active)
    summary = ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "none yet"
    unwell = [each for each in active if each["bot"] != "connected"]
    return [
        f"clients  {summary}",
        *(f"  {each['id']}: {each['bot']} {each['reason']}".rstrip() for each in unwell),
    ]


class FilterModule:
    """The filters' names in templates."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name → function."""
        return {"orbitbot_status_report": status_report, "orbitbot_status_screen": status_screen}
