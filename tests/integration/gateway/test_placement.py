"""`/api/fleet…`, moves and pauses, as the playbooks call them."""

import time
import uuid
from typing import Any

import pytest

from tests.support.gateway import Client, Gateways, problem_of


def host(name: str, **limits: Any) -> dict[str, Any]:
    measure = {"bots": 0, "totalMib": 8000, "freeMib": 6000, "processors": 2, "load": 0.1}
    return {"name": name, "measure": {**measure, "limits": limits}}


def names(count: int = 1) -> list[str]:
    return [f"p-{uuid.uuid4().hex[:10]}" for _ in range(count)]


def place(gateway: Gateways, clients: list[str], hosts: list[dict[str, Any]], **fields: Any) -> Any:
    body = {"clients": [{"id": each, "channel": "simulator", **fields} for each in clients], "hosts": hosts}
    return gateway.operator().post("/api/fleet/placements", json=body)


@pytest.fixture
def placed(gateway: Gateways) -> Client:
    """A client that belongs on a host of its own."""
    client = gateway.add_client()
    place(gateway, [client.id], [host("h1")], host="h1").raise_for_status()
    return client


def begin(gateway: Gateways, client: str, to: str, **fields: Any) -> Any:
    return gateway.operator().post(f"/api/clients/{client}/moves", json={"to": host(to, bots=1000), **fields})


def progress(gateway: Gateways, move: dict[str, Any], **fields: Any) -> dict[str, Any]:
    path = f"/api/clients/{move['clientId']}/moves/{move['id']}"
    answer = gateway.operator().patch(path, json=fields)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def raise_generation(gateway: Gateways, move: dict[str, Any]) -> dict[str, Any]:
    path = f"/api/clients/{move['clientId']}/moves/{move['id']}/generation"
    answer = gateway.operator().post(path)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def test_clients_are_registered_and_spread(gateway: Gateways) -> None:
    a, b = names(2)
    clients = names(4)
    first = place(gateway, clients, [host(a), host(b)]).json()
    assert first["changed"] is True
    assert sorted(each["host"] for each in first["clients"]) == sorted([a, a, b, b])
    assert {each["generation"] for each in first["clients"]} == {1}
    again = place(gateway, clients, [host(a), host(b)]).json()
    assert again["changed"] is False
    assert [each["host"] for each in again["clients"]] == [each["host"] for each in first["clients"]]


def test_all_or_nobody(gateway: Gateways) -> None:
    full, clients = names()[0], names(3)
    refused = problem_of(place(gateway, clients, [host(full, bots=2)]), 409)
    assert refused["detail"] == f"no host takes another bot: {full}: it has 2 of 2 bots"
    problem_of(gateway.operator().get(f"/api/clients/{clients[0]}"), 404)
    place(gateway, clients[:2], [host(full, bots=2)]).raise_for_status()
    refused = problem_of(place(gateway, clients[2:], [host(full, bots=2)], host=full), 409)
    assert refused["detail"] == f"{full} takes no more bots: it has 2 of 2 bots"


def test_another_host_than_the_present_one_is_a_move(gateway: Gateways, placed: Client) -> None:
    refused = problem_of(place(gateway, [placed.id], [host("h2")], host="h2"), 409)
    assert "playbooks/move-client.yml" in refused["detail"]
    taken = place(gateway, [placed.id], [host("h2")], host="h2", oldHostIsStopped=True).json()["clients"][0]
    assert (taken["host"], taken["generation"]) == ("h2", 2)


def test_what_cannot_be_placed(gateway: Gateways) -> None:
    client = names()[0]
    assert "more than once" in problem_of(place(gateway, [client, client], [host("h1")]), 400)["detail"]
    problem_of(place(gateway, ["Not-An-Id"], [host("h1")]), 400)
    assert "timezone" in problem_of(place(gateway, [client], [host("h1")], timezone="Mars/X"), 400)["detail"]
    problem_of(place(gateway, [client], [host("")]), 400)
    problem_of(gateway.operator().post("/api/fleet/placements", json={"clients": [], "hosts": []}), 400)


def test_only_operators(gateway: Gateways, placed: Client) -> None:
    for caller in (placed.integrator, placed.bot):
        problem_of(caller.get("/api/fleet"), 403)
        problem_of(caller.get("/api/fleet/configuration"), 403)
        problem_of(caller.patch("/api/fleet/configuration", json={}), 403)
        problem_of(caller.post("/api/fleet/placements", json={}), 403)
        problem_of(caller.post("/api/fleet/credentials", json={}), 403)
        problem_of(caller.put("/api/fleet/hosts/h1", json={"draining": True}), 403)
        problem_of(caller.delete("/api/fleet/hosts/h1"), 403)
        for path in ("moves", "moves/1/generation", "pause", "resume"):
            problem_of(caller.post(f"/api/clients/{placed.id}/{path}"), 403)
        problem_of(caller.patch(f"/api/clients/{placed.id}/moves/1", json={}), 403)


def test_credentials_for_those_that_lack_one(gateway: Gateways, placed: Client) -> None:
    other = gateway.add_client()
    held = {placed.id: placed.bot_credential.credential_id, other.id: ""}
    made = gateway.operator().post("/api/fleet/credentials", json={"held": held}).json()["made"]
    assert list(made) == [other.id]
    token = {
        "grant_type": "client_credentials",
        "client_id": made[other.id]["credentialId"],
        "client_secret": made[other.id]["secret"],
    }
    gateway.token(**token)
    problem_of(gateway.operator().post("/api/fleet/credentials", json={"held": {"nobody": ""}}), 404)


def test_a_move_goes_on_where_it_was_interrupted(gateway: Gateways, placed: Client) -> None:
    move = begin(gateway, placed.id, "h2").json()
    assert (move["fromHost"], move["toHost"], move["stage"]) == ("h1", "h2", "begun")
    assert begin(gateway, placed.id, "h2").json()["id"] == move["id"]
    assert "finish that first" in problem_of(begin(gateway, placed.id, "h3"), 409)["detail"]
    raised = raise_generation(gateway, move)
    assert (raised["generation"], raised["changed"]) == (2, True)
    assert raise_generation(gateway, move)["changed"] is False
    refused = problem_of(
        placed.bot.get(f"/api/clients/{placed.id}/commands", headers={"OrbitBot-Generation": "1"}), 409
    )
    assert refused["type"].endswith(":superseded")
    assert progress(gateway, move, stage="copied")["stage"] == "copied"
    assert begin(gateway, placed.id, "h2").json()["stage"] == "copied"
    done = progress(gateway, move, stage="done", silentSeconds=3.5)
    assert (done["stage"], done["silentSeconds"]) == ("done", 3.5)
    assert begin(gateway, placed.id, "h2").json()["id"] == 0


def test_a_bot_whose_host_was_taken_for_dead_learns_that_it_ends(gateway: Gateways, placed: Client) -> None:
    """Its credential is revoked, and with it no token tells it; who has not got the secret learns nothing."""
    held = placed.bot_credential

    def ask(generation: str | None, secret: str = held.secret) -> Any:
        body = {"grant_type": "client_credentials", "client_id": held.credential_id, "client_secret": secret}
        headers = {} if generation is None else {"OrbitBot-Generation": generation}
        return gateway.http().post("/api/auth/token", json=body, headers=headers)

    ask("1").raise_for_status()
    move = begin(gateway, placed.id, "h2", oldHostIsDead=True).json()
    raise_generation(gateway, move)
    made = {"kind": "bot", "revokeEarlier": True}
    gateway.operator().post(f"/api/clients/{placed.id}/credentials", json=made).raise_for_status()
    assert problem_of(ask("1"), 409)["type"].endswith(":superseded")
    problem_of(ask("2"), 401)
    problem_of(ask(None), 401)
    problem_of(ask("1", "not this one"), 401)


def test_a_move_turns_back_to_where_the_data_are(gateway: Gateways, placed: Client) -> None:
    move = begin(gateway, placed.id, "h2").json()
    raise_generation(gateway, move)
    progress(gateway, move, stage="copied")
    progress(gateway, move, stage="starting")
    back = progress(gateway, move, turnBack=True, reason="it did not start")
    assert (back["fromHost"], back["toHost"], back["stage"]) == ("h2", "h1", "begun")
    assert raise_generation(gateway, move)["generation"] == 3
    progress(gateway, move, stage="copied")
    ended = progress(gateway, move, stage="done")
    assert (ended["stage"], ended["reason"]) == ("failed", "it did not start")
    assert gateway.operator().get(f"/api/clients/{placed.id}").json()["host"] == "h1"


def test_a_move_that_never_started_there_finds_its_old_copy_whole(gateway: Gateways, placed: Client) -> None:
    move = begin(gateway, placed.id, "h2").json()
    back = progress(gateway, move, turnBack=True, reason="no user could be made")
    assert (back["toHost"], back["stage"]) == ("h1", "copied")
    assert raise_generation(gateway, move)["generation"] == 1


@pytest.mark.parametrize(
    ("stage", "dead", "copied"),
    [(None, False, True), ("copied", False, True), ("starting", False, False), ("starting", True, True)],
)
def test_a_move_is_called_back(
    gateway: Gateways, placed: Client, stage: str | None, *, dead: bool, copied: bool
) -> None:
    move = begin(gateway, placed.id, "h2").json()
    if stage:
        progress(gateway, move, stage=stage)
    back = begin(gateway, placed.id, "h1", oldHostIsDead=dead).json()
    assert (back["id"], back["toHost"], back["turnedBack"]) == (move["id"], "h1", True)
    assert back["stage"] == ("copied" if copied else "begun")
    assert back["withoutState"] is dead
    assert back["reason"] == "it was called back to h1"
    assert begin(gateway, placed.id, "h1").json()["stage"] == back["stage"], "it goes on backwards"


@pytest.mark.parametrize(
    ("forth", "back", "stage"),
    [
        ("begun", "copied", "begun"),  # it never ran at the new host: what is at the old one is copied again
        ("starting", "begun", "copied"),  # it may have run there, and its data still are there
        ("starting", "starting", "begun"),  # … and were brought back
    ],
)
def test_a_move_on_its_way_back_is_sent_forth_again(
    gateway: Gateways, placed: Client, forth: str, back: str, stage: str
) -> None:
    move = begin(gateway, placed.id, "h2").json()
    if forth != "begun":
        progress(gateway, move, stage=forth)
    turned = progress(gateway, move, turnBack=True, reason="h2 cannot be reached")
    if back == "starting":
        turned = progress(gateway, move, stage="starting")
    assert turned["stage"] == back
    again = begin(gateway, placed.id, "h2").json()
    assert (again["id"], again["fromHost"], again["toHost"]) == (move["id"], "h1", "h2")
    assert (again["stage"], again["turnedBack"], again["reason"]) == (stage, False, "")
    progress(gateway, move, stage="starting")
    assert progress(gateway, move, stage="done")["stage"] == "done"


def test_a_move_that_goes_forth_again_takes_no_host_for_dead_that_is_back(
    gateway: Gateways, placed: Client
) -> None:
    begin(gateway, placed.id, "h2")
    assert begin(gateway, placed.id, "h1", oldHostIsDead=True).json()["withoutState"] is True
    assert begin(gateway, placed.id, "h2").json()["withoutState"] is False
    assert begin(gateway, placed.id, "h1").json()["withoutState"] is False


def test_moves_that_ended_long_ago_are_forgotten(gateway: Gateways, placed: Client) -> None:
    def moves() -> dict[int, Any]:
        told = gateway.operator().get("/api/fleet").json()["moves"]
        return {each["id"]: each for each in told if each["clientId"] == placed.id}

    ids = []
    for to in ("h2", "h1"):
        move = begin(gateway, placed.id, to).json()
        raise_generation(gateway, move)
        progress(gateway, move, stage="done")
        ids.append(move["id"])
    gateway.sql(
        "UPDATE moves SET started_at = now() - interval '91 days', finished_at = now() - interval '91 days'"
        " WHERE id = %s",
        ids[0],
    )
    assert moves().keys() == set(ids)
    last = begin(gateway, placed.id, "h2").json()
    progress(gateway, last, stage="done")
    assert moves().keys() == {ids[1], last["id"]}


def test_a_move_that_has_not_ended_is_shown_whatever_came_after_it(gateway: Gateways, placed: Client) -> None:
    left = begin(gateway, placed.id, "h2").json()
    other = gateway.add_client()
    place(gateway, [other.id], [host("h1", bots=1000)], host="h1").raise_for_status()
    gateway.sql(
        "INSERT INTO moves (client_id, from_host, to_host, author, stage, finished_at)"
        " SELECT %s, 'h1', 'h2', 'test', 'done', now() FROM generate_series(1, 30)",
        other.id,
    )
    told = gateway.operator().get("/api/fleet").json()
    assert left["id"] in {each["id"] for each in told["moves"]}
    wrong = next(each["wrong"] for each in told["clients"] if each["id"] == placed.id)
    assert "a move is under way" in wrong


def test_a_move_to_a_full_or_draining_host_is_refused(gateway: Gateways, placed: Client) -> None:
    wanted = {"to": host("full", bots=1)}
    place(gateway, names(), [host("full", bots=1)]).raise_for_status()
    path = f"/api/clients/{placed.id}/moves"
    refused = problem_of(gateway.operator().post(path, json=wanted), 409)
    assert refused["detail"] == "full takes no more bots: it has 1 of 1 bots"
    place(gateway, names(), [host("leaving")]).raise_for_status()
    drained = gateway.operator().put("/api/fleet/hosts/leaving", json={"draining": True}).json()
    assert (drained["draining"], drained["changed"], drained["room"]) == (True, True, 0)
    assert "is being drained" in problem_of(begin(gateway, placed.id, "leaving"), 409)["detail"]
    problem_of(gateway.operator().delete("/api/fleet/hosts/leaving"), 409)


def test_a_host_is_drained_that_was_never_given_a_bot(gateway: Gateways) -> None:
    path = f"/api/fleet/hosts/{names()[0]}"
    refused = problem_of(gateway.operator().put(path, json={"draining": True}), 404)
    assert "was never measured, and no client belongs there" in refused["detail"]
    body = {"draining": True, "measure": host("x")["measure"]}
    drained = gateway.operator().put(path, json=body).json()
    assert (drained["draining"], drained["changed"], drained["room"]) == (True, True, 0)
    assert gateway.operator().put(path, json=body).json()["changed"] is False
    opened = gateway.operator().put(path, json={"draining": False}).json()
    assert (opened["changed"], opened["room"] > 0) == (True, True)
    gateway.operator().delete(path).raise_for_status()
    problem_of(gateway.operator().put("/api/fleet/hosts/a%20b", json=body), 400)


def test_the_fleet_tells_what_is_not_as_it_should_be(gateway: Gateways, placed: Client) -> None:
    def wrong() -> str:
        clients = gateway.operator().get("/api/fleet").json()["clients"]
        return str(next(each["wrong"] for each in clients if each["id"] == placed.id))

    def tell(state: str, generation: int = 1) -> None:
        body = {"state": state, "channel": "simulator", "release": "1", "generation": generation}
        placed.bot.put(f"/api/clients/{placed.id}/bot", json=body).raise_for_status()

    assert wrong() == "its bot on h1 was never heard of"
    tell("connected", 0)
    assert wrong() == "the bot that was last heard of runs on generation 0, not 1"
    tell("connected")
    assert wrong() == ""
    tell("deaf")
    assert wrong() == "its bot is deaf"
    begin(gateway, placed.id, "h2")
    assert "a move is under way" in wrong()
    hosts = {each["name"]: each for each in gateway.operator().get("/api/fleet").json()["hosts"]}
    assert hosts["h1"]["clients"] >= 1
    assert hosts["h1"]["room"] > 0


def test_a_pause_is_told_to_the_bot_and_silences(gateway: Gateways, placed: Client) -> None:
    path = f"/api/clients/{placed.id}"
    paused = gateway.operator().post(f"{path}/pause").json()
    assert (paused["state"], paused["changed"]) == ("paused", True)
    assert gateway.operator().post(f"{path}/pause").json()["changed"] is False
    (command,) = placed.bot.get(f"{path}/commands").json()["commands"]
    assert command["order"]["kind"] == "refresh_settings"
    status = {"state": "connected", "channel": "simulator", "release": "1", "generation": 1}
    assert placed.bot.put(f"{path}/bot", json=status).json()["muted"] is True
    silenced = placed.post("oi").json()
    assert (silenced["state"], silenced["reason"]) == ("silenced", "muted")
    began = time.monotonic()
    assert gateway.operator().post(f"{path}/resume").json()["state"] == "active"
    assert placed.post("oi de novo").json()["response"] == "echo: oi de novo"
    assert time.monotonic() - began < 30
    problem_of(gateway.operator().post("/api/clients/nobody/pause"), 404)
    gateway.operator().delete(path).raise_for_status()
    problem_of(gateway.operator().post(f"{path}/resume"), 404)


def test_shared_settings_reach_every_bot_that_has_not_chosen_otherwise(
    gateway: Gateways, placed: Client
) -> None:
    other = gateway.add_client()
    status = {"state": "connected", "channel": "simulator", "release": "1", "generation": 1}

    def quiet(client: Client) -> float:
        answer = client.bot.put(f"/api/clients/{client.id}/bot", json=status)
        answer.raise_for_status()
        return float(answer.json()["quietSeconds"])

    assert quiet(placed) == quiet(other) == 4.0
    own = {"settings": {"quietSeconds": 9}}
    other.integrator.post(f"/api/clients/{other.id}/configure", json=own).raise_for_status()
    operator = gateway.operator()
    shared = operator.patch("/api/fleet/configuration", json={"settings": {"quietSeconds": 2}}).json()
    assert shared["changed"] is True
    assert shared["told"] >= 2
    assert (quiet(placed), quiet(other)) == (2.0, 9.0)
    kinds = placed.bot.get(f"/api/clients/{placed.id}/commands").json()["commands"]
    assert [each["order"]["kind"] for each in kinds] == ["refresh_settings"]
    again = operator.patch("/api/fleet/configuration", json={"settings": {"quietSeconds": 2}}).json()
    assert (again["changed"], again["version"]) == (False, shared["version"])
    assert operator.get(f"/api/clients/{placed.id}").json()["settings"]["quietSeconds"] == 2
    for settings, field in (
        ({"quietSecond": 2}, "quietSecond"),
        ({"faq": []}, "faq"),
        ({"quietSeconds": 99}, "quietSeconds"),
    ):
        problem = problem_of(operator.patch("/api/fleet/configuration", json={"settings": settings}), 400)
        assert field in problem["detail"]
    operator.patch("/api/fleet/configuration", json={"settings": {"quietSeconds": None}}).raise_for_status()
    assert quiet(placed) == 4.0
