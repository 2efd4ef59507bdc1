"""`plugins/filter/status.py`: the fleet's report, and its screen."""

from typing import Any

from tests.ansible.conftest import load_plugin

status = load_plugin("plugins/filter/status.py")


def ready(name: str) -> dict[str, Any]:
    """What `uri` registers of a service that can serve."""
    checks = {"database": {"ok": True, "detail": "reachable"}}
    return {"item": {"name": name}, "status": 200, "json": {"version": "0.1.0", "checks": checks}}


def hostvars() -> dict[str, Any]:
    """What the playbook registers on a host where one bot has died and speech does not answer."""
    silent = {"item": {"name": "speech"}, "status": -1, "msg": "Connection refused"}
    return {
        "host": {
            "release": "0.1.0+3fa9c1d2e4b7",
            "deployed_at": "2026-01-31T08:00:00+00:00",
            "supervisor": "running",
            "programs": {"orbitbot-gateway": "RUNNING", "bot-padaria": "RUNNING", "bot-acme": "FATAL"},
            "disks": [{"mount": "/", "used_percent": 40, "free_gib": 12.5}],
        },
        "readiness": {"results": [ready("gateway"), silent]},
    }


def client(client_id: str, bot: str, state: str = "active") -> dict[str, Any]:
    """A client as the API tells it."""
    return {
        "id": client_id,
        "state": state,
        "channel": "simulator",
        "botState": bot,
        "botReason": "no sign of life for 61 s" if bot == "unknown" else "",
        "botRelease": "0.1.0",
        "botSeenAt": None,
    }


def report(problem: str = "") -> dict[str, Any]:
    """A fleet of one host that answers and one that does not."""
    clients = [client("acme", "unknown"), client("old", "unknown", "removed"), client("padaria", "connected")]
    made: dict[str, Any] = status.status_report(
        {"vps1": hostvars(), "vps2": {}}, ["vps1", "vps2"], clients, problem
    )
    return made


def test_the_report_tells_hosts_services_bots_and_clients() -> None:
    made = report()
    assert made["hosts"]["vps2"] == {"reachable": False}
    host = made["hosts"]["vps1"]
    assert host["bots"] == {"padaria": "RUNNING", "acme": "FATAL"}
    assert [(each["name"], each["ready"], each["program"]) for each in host["services"]] == [
        ("gateway", True, "RUNNING"),
        ("speech", False, "no program"),
    ]
    assert [each["id"] for each in made["clients"]] == ["acme", "old", "padaria"]


def test_the_screen_shows_what_is_not_well() -> None:
    assert status.status_screen(report()).splitlines() == [
        "vps1  release 0.1.0+3fa9c1d2e4b7, deployed 2026-01-31T08:00:00+00:00",
        "  gateway  ready     RUNNING  database: reachable",
        "  speech   NOT READY no program Connection refused",
        "  bots     1 FATAL, 1 RUNNING",
        "  disk     / 40 % used, 12.5 GiB free",
        "vps2  NOT REACHABLE",
        "clients  1 connected, 1 unknown",
        "  acme: unknown no sign of life for 61 s",
    ]


def test_the_screen_says_when_the_api_cannot_be_asked() -> None:
    assert "clients: unknown: Connection refused" in status.status_screen(report("Connection refused"))
