"""`/api/clients…`: registering, configuring, removing; what a bot is told."""

from typing import Any

import pytest

from tests.support.gateway import Client, Gateways, problem_of


def put(gateway: Gateways, client_id: str, **fields: str) -> dict[str, Any]:
    answer = gateway.operator().put(f"/api/clients/{client_id}", json=fields)
    answer.raise_for_status()
    view: dict[str, Any] = answer.json()
    return view


def test_registering_is_harmless_when_repeated(gateway: Gateways) -> None:
    first = put(gateway, "padaria", channel="simulator", name="Padaria Sol")
    assert (first["changed"], first["state"], first["configVersion"]) == (True, "active", 0)
    assert (first["language"], first["timezone"], first["botState"]) == ("pt", "America/Sao_Paulo", "unknown")
    assert put(gateway, "padaria", channel="simulator", name="Padaria Sol")["changed"] is False
    second = put(gateway, "padaria", channel="simulator", name="Padaria Lua")
    assert (second["changed"], second["name"]) == (True, "Padaria Lua")
    assert put(gateway, "sem-nome", channel="simulator")["name"] == "sem-nome"


def test_all_clients_by_id(gateway: Gateways) -> None:
    for client_id in ("zz-last", "aa-first"):
        put(gateway, client_id, channel="simulator")
    listed = [each["id"] for each in gateway.operator().get("/api/clients").json()["clients"]]
    assert listed == sorted(listed)
    assert {"zz-last", "aa-first"} <= set(listed)


def test_removing_keeps_the_data_until_it_is_purged(gateway: Gateways, client: Client) -> None:
    client.post("oi", key="t1").raise_for_status()
    operator, path = gateway.operator(), f"/api/clients/{client.id}"
    removed = operator.delete(path).json()
    assert (removed["state"], removed["changed"]) == ("removed", True)
    assert operator.delete(path).json()["changed"] is False
    assert operator.get(path).json()["state"] == "removed"
    assert operator.get(f"{path}/messages/t1/why").json()["state"] == "answered"
    problem_of(operator.post(f"{path}/credentials", json={"kind": "bot"}), 409)
    back = put(gateway, client.id, channel="simulator")
    assert (back["state"], back["changed"]) == ("active", True)
    purged = operator.delete(path, params={"purge": "true"}).json()
    assert (purged["state"], purged["changed"]) == ("removed", True)
    problem_of(operator.get(path), 404)
    problem_of(operator.delete(path), 404)
    for table in ("turns", "messages", "credentials", "bot_status", "client_configs"):
        count = gateway.sql(f"SELECT count(*) FROM {table} WHERE client_id = %s", client.id)
        assert count == [(0,)], table


def test_purging_one_client_leaves_the_others(gateway: Gateways, client: Client) -> None:
    other = gateway.add_client()
    other.post("oi").raise_for_status()
    gateway.operator().delete(f"/api/clients/{client.id}", params={"purge": "true"}).raise_for_status()
    assert gateway.sql("SELECT count(*) FROM turns WHERE client_id = %s", other.id) == [(1,)]


def test_only_hashes_of_secrets_are_stored(gateway: Gateways, client: Client) -> None:
    stored = str(gateway.sql("SELECT * FROM credentials WHERE client_id = %s", client.id))
    assert client.bot_credential.credential_id in stored
    for credential in (client.bot_credential, client.integrator_credential):
        assert len(credential.secret) >= 43
        assert credential.secret not in stored
    assert client.bot_credential.secret not in gateway.logs()
    assert gateway.sql("SELECT left(password_hash, 10) FROM operators") == [("$argon2id$",)]


def test_configurations_are_merged_and_numbered(gateway: Gateways, client: Client) -> None:
    def configure(**body: Any) -> dict[str, Any]:
        answer = client.integrator.post(f"/api/clients/{client.id}/configure", json=body)
        answer.raise_for_status()
        result: dict[str, Any] = answer.json()
        return result

    first = configure(personality="Você é uma padaria.", settings={"temperature": 0.2})
    assert first == {"success": True, "version": 1, "changed": True}
    assert configure(settings={"temperature": 0.2}) == {"success": True, "version": 1, "changed": False}
    assert configure() == {"success": True, "version": 1, "changed": False}
    assert configure(settings={"quietSeconds": 4.0})["changed"] is False  # the default already
    assert configure(settings={"quietSeconds": 2})["version"] == 2
    assert configure(settings={"temperature": None})["version"] == 3
    rows = gateway.sql(
        "SELECT version, personality, settings, author FROM client_configs WHERE client_id = %s ORDER BY 1",
        client.id,
    )
    author = f"client:{client.id}"
    assert rows == [
        (1, "Você é uma padaria.", {"temperature": 0.2}, author),
        (2, "Você é uma padaria.", {"temperature": 0.2, "quietSeconds": 2}, author),
        (3, "Você é uma padaria.", {"quietSeconds": 2}, author),
    ]
    assert gateway.operator().get(f"/api/clients/{client.id}").json()["configVersion"] == 3


def test_a_bot_reports_and_is_told_its_settings(gateway: Gateways, client: Client) -> None:
    gateway.operator().post(
        f"/api/clients/{client.id}/configure", json={"settings": {"quietSeconds": 1.5, "answerGroups": True}}
    ).raise_for_status()
    status = {"state": "connected", "channel": "simulator", "release": "9.9", "reason": "", "pid": 7}
    told = client.bot.put(f"/api/clients/{client.id}/bot", json=status).json()
    assert (told["configVersion"], told["quietSeconds"], told["answerGroups"]) == (1, 1.5, True)
    assert (told["burstSeconds"], told["maxAgeSeconds"], told["muted"]) == (15.0, 21600.0, False)
    view = gateway.operator().get(f"/api/clients/{client.id}").json()
    assert (view["botState"], view["botRelease"]) == ("connected", "9.9")
    assert view["botSeenAt"].startswith("20")
    gateway.sql("UPDATE bot_status SET seen_at = now() - interval '2 min' WHERE client_id = %s", client.id)
    silent = gateway.operator().get(f"/api/clients/{client.id}").json()
    assert silent["botState"] == "unknown"
    assert "no sign of life for 120 s; last state: connected" in silent["botReason"]


def test_bots_are_told_each_others_numbers_and_lids(gateways: Gateways) -> None:
    gateways.start()
    one, other = gateways.add_client(), gateways.add_client()
    status = {"state": "connected", "channel": "neonize", "release": "1"}
    for client, number, lid in ((one, "5511900000001", "77@lid"), (other, "5511900000002", "")):
        told = client.bot.put(f"/api/clients/{client.id}/bot", json={**status, "number": number, "lid": lid})
    gateways.services[0].stop()  # which remembers the fleet's numbers for half a minute
    gateways.services[0].start()
    gateways.services[0].wait_ready()
    told = other.bot.put(f"/api/clients/{other.id}/bot", json={**status, "number": "5511900000002"})
    assert told.json()["fleetNumbers"] == ["5511900000001", "77@lid"]
    refused = other.bot.put(f"/api/clients/{other.id}/bot", json={**status, "lid": "5511900000002"})
    assert "lid" in str(problem_of(refused, 400)["errors"])


def test_a_removed_clients_bot_is_forgotten(gateway: Gateways, client: Client) -> None:
    status = {"state": "connected", "channel": "simulator", "release": "1"}
    client.bot.put(f"/api/clients/{client.id}/bot", json=status).raise_for_status()
    gateway.operator().delete(f"/api/clients/{client.id}").raise_for_status()
    assert put(gateway, client.id, channel="simulator")["botState"] == "unknown"


def test_unknown_clients(gateway: Gateways) -> None:
    operator = gateway.operator()
    problem_of(operator.get("/api/clients/nobody"), 404)
    problem_of(operator.post("/api/clients/nobody/configure", json={"personality": "x"}), 404)
    problem_of(operator.post("/api/clients/nobody/credentials", json={"kind": "bot"}), 404)
    problem_of(operator.get("/api/clients/nobody/stats"), 404)
    problem_of(operator.post("/api/clients/nobody/messages", json={"message": "x"}), 404)


@pytest.mark.parametrize("method", ["POST"])
def test_methods_that_a_client_does_not_have(gateway: Gateways, client: Client, method: str) -> None:
    problem_of(gateway.operator().request(method, f"/api/clients/{client.id}"), 405)
