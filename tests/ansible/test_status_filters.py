"""`plugins/filter/status.py`: the fleet's report, and its screen."""

from typing import Any

from tests.ansible.conftest import load_plugin

status = load_plugin("plugins/filter/status.py")


def ready(name: str) -> dict[str, Any]:
    """What `uri` registers of a service that can serve."""
    checks = {"database": {"ok": True, "detail": "reachable"}}
    return {"item": {"name": name}, "status": 200, "json": {"version": "0.1.0", "checks": checks}}


def seal(by: str, memory: int, cpu: int | None) -> dict[str, Any]:
    """How the module `host_status` tells a bot's limits."""
    limits = {"memory_mib": memory, "cpu_percent": cpu, "tasks": 64, "open_files": 1024}
    return {"by": by, **limits, "sandbox": by != "resource limits"}


def hostvars() -> dict[str, Any]:
    """What the playbook registers on a host where one bot has died and speech does not answer."""
    silent = {"item": {"name": "speech"}, "status": -1, "msg": "Connection refused"}
    return {
        "host": {
            "release": "0.1.0+3fa9c1d2e4b7",
            "deployed_at": "2026-01-31T08:00:00+00:00",
            "supervisor": "running",
            "programs": {"orbitbot-gateway-b": "RUNNING", "bot-padaria": "RUNNING", "bot-acme": "FATAL"},
            "slots": {"gateway": "b"},
            "bot_releases": {"padaria": "0.1.0+3fa9c1d2e4b7", "acme": "0.1.0+000000000000"},
            "seals": {"padaria": seal("systemd scope", 160, 50), "acme": seal("resource limits", 416, None)},
            "disks": [{"mount": "/", "used_percent": 40, "free_gib": 12.5}],
        },
        "readiness": {"results": [ready("gateway"), silent]},
        "backups": {
            "problem": "",
            "jobs": [backup("dump"), backup("drill", alarm="overdue: no success for 200 h")],
        },
    }


def backup(job: str, alarm: str = "") -> dict[str, Any]:
    """A job as `orbitbot-backup status --json` tells it."""
    return {"job": job, "age_hours": 2.04, "size": 3 * 2**20, "detail": "verified", "alarm": alarm}


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


def test_a_client_that_will_not_be_well_for_long_is_named() -> None:
    restricted = {
        **client("acme", "restricted"),
        "botReason": "reach-out lock",
        "botUntil": "2026-02-01T10:30:00+00:00",
    }
    silent = {**client("padaria", "connected"), "botWarning": "the phone has been silent for 11 days"}
    made = status.status_report({}, [], [restricted, silent], "")
    assert status.status_screen(made).splitlines()[-2:] == [
        "  acme: restricted until 2026-02-01 10:30 UTC reach-out lock",
        "  padaria: connected WARNING: the phone has been silent for 11 days",
    ]


def test_how_a_number_does_is_shown_with_what_to_do() -> None:
    health = {"newChats": 5, "newChatsLimit": 5, "reconnects": 2, "undelivered": 3}
    used_up = {
        **client("acme", "connected"),
        "health": {**health, "trouble": "new_chats", "advice": "Today's new chats are used up."},
    }
    well = {**client("padaria", "connected"), "health": {**health, "trouble": "", "advice": "All is well: …"}}
    made = status.status_report({}, [], [used_up, well], "")
    assert status.status_screen(made).splitlines()[1:] == [
        "  acme: connected",
        "    number: new chats 5 of 5 today, 2 reconnects, 3 undelivered. Today's new chats are used up.",
    ]


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
        "  gateway  ready     RUNNING  database: reachable; ON RELEASE 0.1.0",
        "  speech   NOT READY no program Connection refused",
        "  bots     1 FATAL, 1 RUNNING",
        "  release  0.1.0+000000000000 is run by 1 bots: acme",
        "  sealed   resource limits: 416 MiB, 64 tasks, 1024 files, NO LIMIT of cpu, NO SANDBOX (acme)",
        "  sealed   systemd scope: 160 MiB, 50 % of a core, 64 tasks, 1024 files, sandbox (padaria)",
        "  disk     / 40 % used, 12.5 GiB free",
        "  backup   dump 2.0 h ago, 3.0 MiB  verified",
        "  backup   drill 2.0 h ago, 3.0 MiB  ALARM: overdue: no success for 200 h",
        "vps2  NOT REACHABLE",
        "clients  1 connected, 1 unknown",
        "  acme: unknown no sign of life for 61 s",
    ]


def test_the_screen_says_when_the_api_cannot_be_asked() -> None:
    assert "clients: unknown: Connection refused" in status.status_screen(report("Connection refused"))


def run(number: int, state: str, **facts: Any) -> dict[str, Any]:
    """A run's record as `run_records` returns it."""
    return {
        "id": f"20260131T08000{number}Z-abcdef",
        "playbook": "site",
        "operator": "ana",
        "controller": "laptop",
        "inventories": ["/srv/fleet"],
        "version": "0.1.0+3fa9c1d2e4b7",
        "started_at": f"2026-01-31T08:00:0{number}+00:00",
        "locked_at": "",
        "ended_at": "" if state == "running" else "2026-01-31T08:05:00+00:00",
        "state": state,
        **facts,
    }


def test_the_last_runs_are_those_of_the_fleet_and_the_controllers_own_of_this_inventory() -> None:
    locked = run(3, "running", locked_at="2026-01-31T08:00:04+00:00")
    fleet = [run(5, "refused"), locked, run(1, "interrupted", operator="rui")]
    own = [run(5, "failed"), run(4, "failed"), run(3, "running"), run(2, "ok", inventories=["/srv/other"])]
    found = status.last_runs([fleet, own], "/srv/fleet")
    assert [(each["id"][14], each["operator"], each["state"]) for each in found] == [
        ("5", "ana", "refused"),
        ("4", "ana", "failed"),
        ("3", "ana", "running"),
        ("1", "rui", "interrupted"),
    ]
    assert found[2]["locked_at"] == locked["locked_at"]
    assert len(status.last_runs([fleet, own], "/srv/fleet", 1)) == 1


def test_the_screen_tells_what_each_run_came_to() -> None:
    counts = {"ok": 3, "changed": 2, "failed": 0, "unreachable": 0}
    hosts = {"vps1": counts, "vps2": counts}
    away = hosts | {"vps2": counts | {"unreachable": 1}}
    runs = [
        run(5, "running", client="acme", playbook="add-client", limit="vps1"),
        run(4, "refused", check=True),
        run(3, "failed", hosts=away, failure="vps2: Look at it: could not be reached"),
        run(2, "interrupted"),
        run(1, "ok", hosts=hosts),
    ]
    screen = status.status_screen(status.status_report({}, [], [], "", runs)).splitlines()
    start = screen.index("last runs")
    by = "by ana on laptop, 0.1.0+3fa9c1d2e4b7"
    assert screen[start + 1 :] == [
        f"  2026-01-31T08:00:05+00:00 to …  add-client acme --limit vps1  running  {by}",
        f"  2026-01-31T08:00:04+00:00 to 08:05:00  site --check  REFUSED  {by}",
        "  2026-01-31T08:00:03+00:00 to 08:05:00  site  FAILED on vps2 "
        f"(vps2: Look at it: could not be reached)  {by}",
        f"  2026-01-31T08:00:02+00:00 to 08:05:00  site  INTERRUPTED  {by}",
        f"  2026-01-31T08:00:01+00:00 to 08:05:00  site  ok, 4 changed on 2 hosts  {by}",
    ]


def test_alarms_name_host_and_job_and_skip_hosts_that_were_not_reached() -> None:
    broken = {"backups": {"problem": "it said nothing", "jobs": []}}
    found = status.backup_alarms({"vps1": hostvars(), "vps2": {}, "vps3": broken}, ["vps1", "vps2", "vps3"])
    assert found == ["vps1: drill: overdue: no success for 200 h", "vps3: it said nothing"]


def test_clients_by_host_what_is_not_as_declared_and_the_last_moves() -> None:
    move = {
        "clientId": "padaria", "fromHost": "bots-1", "toHost": "bots-2", "stage": "done", "reason": "",
        "silentSeconds": 4.25, "author": "operator:admin", "startedAt": "2026-01-31T08:00:00.1+00:00",
        "finishedAt": "2026-01-31T08:00:09+00:00",
    }  # fmt: skip
    stuck = move | {"stage": "copied", "finishedAt": None, "silentSeconds": None, "reason": "called back"}
    fleet = {
        "hosts": [
            {"name": "bots-1", "room": 3, "fullBecause": ""},
            {"name": "bots-2", "room": 0, "fullBecause": "it is being drained"},
        ],
        "clients": [
            {"id": "padaria", "host": "bots-1", "state": "active", "wrong": ""},
            {"id": "acme", "host": "bots-1", "state": "paused", "wrong": "it is paused, and its bot answers"},
        ],
        "moves": [move, stuck],
    }
    report = status.status_report({}, [], [client("padaria", "connected")], "", (), fleet=fleet)
    assert status.status_screen(report).splitlines() == [
        "clients  1 connected",
        "  on bots-1: 1 active, 1 paused; room for 3",
        "  on bots-2: no client; NO ROOM: it is being drained",
        "  acme NOT AS DECLARED: it is paused, and its bot answers",
        "last moves",
        "  2026-01-31T08:00:00  padaria bots-1 -> bots-2  done, silent for 4.2 s  by operator:admin",
        "  2026-01-31T08:00:00  padaria bots-1 -> bots-2  INTERRUPTED or under way (copied): called back"
        "  by operator:admin",
    ]
