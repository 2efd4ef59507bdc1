"""One contact's data: exported, erased and proven gone; chats taken over; events and money read."""

import hashlib
import subprocess
import time
from typing import Any

import pytest

from orbitbot.conversations.people import _ERASE, apply_retention
from orbitbot.foundation.database import Database
from orbitbot.gateway.transcripts import transcript_key
from tests.support.gateway import Client, Gateways, answer_of, problem_of
from tests.support.redis import RedisServer
from tests.support.stack import ORBITBOT

pytestmark = pytest.mark.integration

ANA, BIA = "5511900000001", "5511900000002"
SECRET = "minha alergia é amendoim"


def fill(gateway: Gateways, client: Client) -> None:
    """Everything that may be kept of two contacts."""
    for contact in (ANA, BIA):
        answer_of(client.post(f"{SECRET} de {contact}", key=f"t-{contact}", contact=contact))
        for statement in (
            "INSERT INTO exchanges (client_id, turn_id, contact, question, answer, model, source)"
            " VALUES (%s, %s || 'x', %s, 'minha alergia é amendoim', 'ok', 'm', 'provider')",
            "INSERT INTO summaries (client_id, contact, text, until) VALUES (%s, %s, 'alergia' || %s, now())",
        ):
            gateway.sql(statement, client.id, contact, contact)
        gateway.sql("INSERT INTO client_events (client_id, kind, contact) VALUES (%s, 'human_asked', %s)",
                    client.id, contact)  # fmt: skip
        url = f"/api/clients/{client.id}/contacts/{contact}"
        client.integrator.put(f"{url}/facts", json={"facts": ["allergic to nuts"]}).raise_for_status()
        client.integrator.put(f"{url}/pause", json={"minutes": 30}).raise_for_status()
    gateway.sql("UPDATE turns SET claimed_until = NULL WHERE client_id = %s", client.id)


def test_every_table_that_names_a_contact_is_erased(gateway: Gateways) -> None:
    named = gateway.sql(
        "SELECT table_name FROM information_schema.columns"
        " WHERE column_name = 'contact' AND table_schema = 'public'"
    )
    assert {table for (table,) in named} == set(_ERASE)


def everything(gateway: Gateways, client: Client) -> str:
    """Every row of every table that has this client, as text."""
    tables = gateway.sql(
        "SELECT table_name FROM information_schema.columns"
        " WHERE column_name = 'client_id' AND table_schema = 'public' ORDER BY table_name"
    )
    texts = []
    for (table,) in tables:
        texts += gateway.sql(f"SELECT t::text FROM {table} t WHERE client_id = %s", client.id)
    return "\n".join(row[0] for row in texts)


def test_everything_is_exported(gateway: Gateways, client: Client) -> None:
    fill(gateway, client)
    found = client.integrator.get(f"/api/clients/{client.id}/contacts/{ANA}").json()
    assert SECRET in found["turns"][0]["message"]
    assert found["turns"][0]["response"].startswith("echo:")
    assert len(found["messages"]) == 1
    assert found["exchanges"][0]["question"] == SECRET
    assert (found["facts"], found["summary"]) == (["allergic to nuts"], f"alergia{ANA}")
    assert found["pause"]["author"] == f"client:{client.id}"
    assert found["events"][0]["kind"] == "human_asked"
    assert BIA not in str(found)


def test_erased_is_gone_everywhere_and_counts_stay(gateway: Gateways, client: Client) -> None:
    fill(gateway, client)
    before = client.integrator.get(f"/api/clients/{client.id}/stats").json()
    erased = client.integrator.delete(f"/api/clients/{client.id}/contacts/{ANA}")
    assert erased.status_code == 200, erased.text
    assert erased.json()["remaining"] == 0
    assert erased.json()["counts"] == {
        "turns": 1, "messages": 1, "exchanges": 1, "summaries": 1, "contact_facts": 1, "paused_chats": 1,
        "client_events": 1, "turn_changes": 0, "sends": 0, "owner_commands": 0,
    }  # fmt: skip
    command = erased.json()["botCommand"]
    (waiting,) = client.bot.get(f"/api/clients/{client.id}/commands").json()["commands"]
    assert (waiting["id"], waiting["order"]) == (command, {"kind": "forget_contact", "contact": ANA})
    client.bot.post(
        f"/api/clients/{client.id}/commands/{command}/result", json={"state": "done"}
    ).raise_for_status()
    assert client.integrator.get(f"/api/clients/{client.id}/commands/{command}").json()["state"] == "done"
    left = everything(gateway, client)
    assert ANA not in left.replace(f"t-{ANA}", "")  # the turn's id is the bot's own
    assert left.count(SECRET) == 3, "the other contact's message, answer and exchange are there"
    after = client.integrator.get(f"/api/clients/{client.id}/stats").json()
    assert (after["turns"], after["messages"], after["costUsd"], after["contacts"]) == (
        before["turns"], before["messages"], before["costUsd"], before["contacts"],
    )  # fmt: skip
    empty = client.integrator.get(f"/api/clients/{client.id}/contacts/{ANA}").json()
    assert not any(empty[name] for name in ("turns", "messages", "exchanges", "facts", "summary", "pause"))
    again = client.integrator.delete(f"/api/clients/{client.id}/contacts/{ANA}").json()
    assert sum(again["counts"].values()) == 0


def test_a_message_under_way_is_waited_for(gateway: Gateways, client: Client) -> None:
    fill(gateway, client)
    gateway.sql(
        "UPDATE turns SET state = 'answering', claimed_until = now() + interval '1 minute'"
        " WHERE client_id = %s AND contact = %s", client.id, ANA,
    )  # fmt: skip
    problem_of(client.integrator.delete(f"/api/clients/{client.id}/contacts/{ANA}"), 409)
    assert SECRET in everything(gateway, client)


def test_each_of_several_erasures_waits_for_the_bot(gateway: Gateways, client: Client) -> None:
    fill(gateway, client)
    for contact in (ANA, BIA):
        client.integrator.delete(f"/api/clients/{client.id}/contacts/{contact}").raise_for_status()
    waiting = client.bot.get(f"/api/clients/{client.id}/commands").json()["commands"]
    assert [each["order"]["contact"] for each in waiting] == [ANA, BIA]


def test_what_is_cached_of_a_client_goes(
    gateway: Gateways, client: Client, redis_server: RedisServer
) -> None:
    kept = [f"client:{client.id}:answer:x", transcript_key(b"audio", {"client": client.id})]
    with redis_server.client() as redis:
        for key in (*kept, other := transcript_key(b"audio", {"client": f"{client.id}-2"})):
            redis.set(key, "text")
        erased = client.integrator.delete(f"/api/clients/{client.id}/contacts/{ANA}").json()
        assert erased["cachedAnswers"] == len(kept)
        assert (redis.exists(*kept), redis.exists(other)) == (0, 1)


def test_a_restore_does_not_bring_an_erased_contact_back(gateway: Gateways, client: Client) -> None:
    fill(gateway, client)
    gateway.sql(
        "UPDATE messages SET journaled_at = now() - interval '1 hour' WHERE client_id = %s", client.id
    )
    salt = "73616c74"
    forgotten = {
        "salt": salt,
        "digest": hashlib.sha256(f"{salt}{ANA}".encode()).hexdigest(),
        "at": time.time(),
    }
    later = answer_of(client.post("depois", key="later", contact=ANA))
    url = f"/api/clients/{client.id}/journal"
    taken = client.bot.post(url, json={"forgotten": [forgotten, forgotten | {"digest": "00"}]})
    assert taken.json() == {"added": 0, "erased": 1}
    found = client.integrator.get(f"/api/clients/{client.id}/contacts/{ANA}").json()
    assert [turn["id"] for turn in found["turns"]] == [later.turn], "what was said since stays"
    assert not any(found[name] for name in ("exchanges", "facts", "summary", "pause", "events"))
    assert everything(gateway, client).count(SECRET) == 3, "the other contact's data stays"
    assert client.bot.post(url, json={"forgotten": [forgotten]}).json() == {"added": 0, "erased": 0}
    many = client.bot.post(url, json={"forgotten": [forgotten] * 201})
    assert "forgotten" in problem_of(many, 400)["detail"]


def test_the_command_erases_too(gateway: Gateways, client: Client) -> None:
    fill(gateway, client)
    command = [
        ORBITBOT,
        "erase-contact",
        client.id,
        ANA,
        "--settings",
        str(gateway.settings_file),
        "--wait",
        "0",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 3, "this bot is away"
    assert '"remaining": 0' in done.stdout
    assert '"bot": "pending"' in done.stdout
    command[2] = "nobody"
    wrong = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (wrong.returncode, "there is no client" in wrong.stderr) == (1, True)


async def test_retention_takes_away_what_is_older_and_nothing_without_a_choice(
    gateway: Gateways, client: Client
) -> None:
    keeper = gateway.add_client()
    for each in (client, keeper):
        fill(gateway, each)
        gateway.sql(
            "UPDATE turns SET received_at = now() - interval '40 days' WHERE client_id = %s AND contact = %s",
            each.id, ANA,
        )  # fmt: skip
        gateway.sql(
            "UPDATE exchanges SET created_at = now() - interval '40 days' WHERE client_id = %s", each.id
        )
    client.integrator.patch(
        f"/api/clients/{client.id}", json={"settings": {"keepDays": 30}}
    ).raise_for_status()
    operators = Database(gateway.database.settings("operator"), "test")
    await operators.open()
    done = await apply_retention(operators)
    again = await apply_retention(operators)
    await operators.close()
    assert done[client.id] == 5, "one turn, two messages and two exchanges"
    assert again[client.id] == 0
    assert keeper.id not in done
    texts = gateway.sql("SELECT message FROM turns WHERE client_id = %s ORDER BY message", client.id)
    assert texts == [("",), (f"{SECRET} de {BIA}",)]
    assert len(gateway.sql("SELECT 1 FROM exchanges WHERE client_id = %s", keeper.id)) == 2


def test_a_chat_is_taken_over_and_handed_back(gateway: Gateways, client: Client) -> None:
    url = f"/api/clients/{client.id}/contacts/{ANA}/pause"
    paused = client.integrator.put(url, json={"reason": "Maria fala"}).json()
    assert (paused["reason"], paused["until"]) == ("Maria fala", None)
    assert [
        each["contact"] for each in client.integrator.get(f"/api/clients/{client.id}/pauses").json()["pauses"]
    ] == [ANA]
    assert client.integrator.delete(url).json() == {"resumed": True}
    assert client.integrator.delete(url).json() == {"resumed": False}
    problem_of(client.integrator.put(url, json={"minutes": 0}), 400)


def test_events_and_money_are_read(gateway: Gateways, client: Client) -> None:
    for number in range(3):
        gateway.sql(
            "INSERT INTO client_events (client_id, kind, data) VALUES (%s, 'budget_reached', %s::jsonb)",
            client.id, f'{{"n": {number}}}',
        )  # fmt: skip
    events = client.integrator.get(f"/api/clients/{client.id}/events").json()
    assert [event["data"]["n"] for event in events["events"]] == [0, 1, 2]
    later = client.integrator.get(f"/api/clients/{client.id}/events?after={events['after']}").json()
    assert later == {"events": [], "after": events["after"]}
    gateway.sql(
        "INSERT INTO spending (client_id, day, model, own_key, calls, prompt_tokens, cost_usd)"
        " SELECT id, (now() AT TIME ZONE timezone)::date, 'm', false, 2, 100, 0.5 FROM clients WHERE id = %s",
        client.id,
    )
    gateway.sql(
        "INSERT INTO reservations (client_id, id, day, own_key, amount_usd)"
        " SELECT id, gen_random_uuid(), (now() AT TIME ZONE timezone)::date, false, 0.25"
        " FROM clients WHERE id = %s",
        client.id,
    )
    spending = client.integrator.get(f"/api/clients/{client.id}/spending").json()
    assert (spending["todayUsd"], spending["monthUsd"]) == (0.75, 0.75)
    assert (spending["lines"][0]["calls"], spending["lines"][0]["costUsd"]) == (2, 0.5)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/contacts/1", None), ("DELETE", "/contacts/1", None),
        ("PUT", "/contacts/1/facts", {"facts": []}),
        ("PUT", "/contacts/1/pause", {}), ("DELETE", "/contacts/1/pause", None), ("GET", "/pauses", None),
        ("GET", "/events", None), ("GET", "/spending", None),
    ],
)  # fmt: skip
def test_only_the_client_and_operators_may(
    gateway: Gateways, client: Client, method: str, path: str, body: Any
) -> None:
    url = f"/api/clients/{client.id}{path}"
    assert gateway.http().request(method, url, json=body).status_code == 401
    assert client.bot.request(method, url, json=body).status_code == 403
    other = gateway.add_client()
    assert other.integrator.request(method, url, json=body).status_code == 403
    assert gateway.operator().request(method, url, json=body).status_code == 200
