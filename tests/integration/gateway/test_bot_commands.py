"""Commands and leases: durable, acknowledged, one host at a time."""

import threading
import time
from typing import Any

import httpx
import psycopg
import pytest

from tests.support.gateway import Client, Gateways, problem_of

_SMUGGLED = """
INSERT INTO commands (client_id, kind, body, author, expires_at) VALUES (%s, 'pair', '{}', 'x', now())
"""


def give(gateway: Gateways, client: Client, what: str, **headers: str) -> dict[str, Any]:
    answer = gateway.operator().post(f"/api/clients/{client.id}/{what}", headers=headers)
    assert answer.status_code == 202, answer.text
    command: dict[str, Any] = answer.json()
    return command


def pending(client: Client, wait: float = 0.0) -> list[dict[str, Any]]:
    answer = client.bot.get(f"/api/clients/{client.id}/commands", params={"wait": wait})
    assert answer.status_code == 200, answer.text
    commands: list[dict[str, Any]] = answer.json()["commands"]
    return commands


def finish(client: Client, command_id: int, state: str = "done", detail: str = "") -> httpx.Response:
    return client.bot.post(
        f"/api/clients/{client.id}/commands/{command_id}/result", json={"state": state, "detail": detail}
    )


def read(client: Client, command_id: int) -> dict[str, Any]:
    command: dict[str, Any] = client.integrator.get(f"/api/clients/{client.id}/commands/{command_id}").json()
    return command


def test_a_command_waits_for_its_bot_until_it_is_acknowledged(gateway: Gateways, client: Client) -> None:
    given = give(gateway, client, "restart")
    assert (given["kind"], given["state"]) == ("restart", "pending")
    for _ in range(2):  # a bot that died before it acknowledged gets it again
        (command,) = pending(client)
        assert (command["id"], command["order"]) == (given["id"], {"kind": "restart"})
    assert finish(client, given["id"]).status_code == 204
    assert pending(client) == []
    assert read(client, given["id"])["state"] == "done"
    assert finish(client, given["id"], "failed", "late").status_code == 204  # repeating it is harmless
    assert read(client, given["id"])["state"] == "done"


def test_a_waiting_bot_gets_a_command_at_once(gateway: Gateways, client: Client) -> None:
    got: list[list[dict[str, Any]]] = []
    waiting = threading.Thread(target=lambda: got.append(pending(client, wait=20)))
    began = time.monotonic()
    waiting.start()
    given = give(gateway, client, "logout")
    waiting.join(30)
    assert [each["id"] for each in got[0]] == [given["id"]]
    assert time.monotonic() - began < 15  # it was woken, and has not waited to the end


def test_a_newer_command_takes_the_place_of_one_of_its_kind(gateway: Gateways, client: Client) -> None:
    first, other, second = (give(gateway, client, what) for what in ("restart", "refresh", "restart"))
    assert [each["id"] for each in pending(client)] == [other["id"], second["id"]]
    assert read(client, first["id"])["state"] == "replaced"


def test_a_key_gives_one_command(gateway: Gateways, client: Client) -> None:
    one, again = (give(gateway, client, "restart", **{"Idempotency-Key": "k"}) for _ in range(2))
    assert one == again
    assert len(pending(client)) == 1


def test_a_command_that_has_expired_is_not_handed_out(gateway: Gateways, client: Client) -> None:
    given = give(gateway, client, "restart")
    gateway.sql("UPDATE commands SET expires_at = now() WHERE id = %s", given["id"])
    assert pending(client) == []
    give(gateway, client, "refresh")
    assert read(client, given["id"])["state"] == "expired"


def test_commands_of_another_client_are_not_seen(gateway: Gateways, client: Client) -> None:
    other = gateway.add_client()
    given = give(gateway, client, "restart")
    assert pending(other) == []
    problem_of(finish(other, given["id"]), 404)
    problem_of(other.integrator.get(f"/api/clients/{other.id}/commands/{given['id']}"), 404)
    assert len(pending(client)) == 1


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("commands?wait=26", None, "wait"),
        ("commands?wait=nan", None, "wait"),
        ("commands/0/result", {"state": "done"}, "commandId"),
        ("commands/1/result", {"state": "pending"}, "state"),
        ("commands/1/result", {"state": "done", "detail": "x" * 1001}, "detail"),
    ],
)
def test_what_a_bot_says_wrong_is_named(client: Client, path: str, body: Any, named: str) -> None:
    url = f"/api/clients/{client.id}/{path}"
    answer = client.bot.get(url) if body is None else client.bot.post(url, json=body)
    assert problem_of(answer, 400)["errors"][0]["field"] == named


def test_there_is_no_command_for_nobody(gateway: Gateways) -> None:
    problem_of(gateway.operator().post("/api/clients/nobody/restart"), 404)
    problem_of(gateway.operator().put("/api/clients/nobody/lease", json={"host": "vps-1"}), 404)


def take(gateway: Gateways, client: Client, host: str, **fields: Any) -> httpx.Response:
    return gateway.operator().put(f"/api/clients/{client.id}/lease", json={"host": host, **fields})


def test_a_lease_rises_only_when_the_old_host_is_stopped(gateway: Gateways, client: Client) -> None:
    assert take(gateway, client, "vps-1").json() == {"host": "vps-1", "generation": 1, "changed": True}
    assert take(gateway, client, "vps-1").json() == {"host": "vps-1", "generation": 1, "changed": False}
    refused = problem_of(take(gateway, client, "vps-2"), 409)
    assert "vps-1" in refused["detail"]
    assert take(gateway, client, "vps-2", oldHostIsStopped=True).json()["generation"] == 2
    problem_of(take(gateway, client, "not a host"), 400)


def test_a_bot_with_a_lower_generation_is_refused_everywhere(gateway: Gateways, client: Client) -> None:
    status = {"state": "connected", "channel": "simulator", "release": "1", "generation": 1}
    take(gateway, client, "vps-1")

    def as_generation(generation: int) -> list[httpx.Response]:
        headers = {"OrbitBot-Generation": str(generation)}
        url = f"/api/clients/{client.id}"
        return [
            client.bot.put(f"{url}/bot", json=status, headers=headers),
            client.bot.get(f"{url}/commands", headers=headers),
            client.bot.post(f"{url}/reports", json={"reports": []}, headers=headers),
        ]

    assert [each.status_code for each in as_generation(1)] == [200] * 3
    take(gateway, client, "vps-2", oldHostIsStopped=True)
    deadline = time.monotonic() + 30  # what is known of a token is remembered for some seconds
    while as_generation(1)[0].status_code == 200 and time.monotonic() < deadline:
        time.sleep(0.2)
    for answer in as_generation(1):
        assert problem_of(answer, 409)["type"].endswith(":superseded")
    assert [each.status_code for each in as_generation(2)] == [200] * 3
    problem_of(
        client.bot.get(f"/api/clients/{client.id}/commands", headers={"OrbitBot-Generation": "x"}), 400
    )


def test_row_security_holds_for_what_is_new(gateway: Gateways, client: Client) -> None:
    give(gateway, client, "restart")
    with gateway.database.connect("gateway") as connection:
        for table in ("commands", "pairings", "pairing_links"):
            assert connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone() == (0,)
        connection.execute("SELECT set_config('orbitbot.client_id', 'other', false)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(_SMUGGLED, (client.id,))
