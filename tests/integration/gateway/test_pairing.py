"""Pairing as programs see it: what the bot tells comes out as JSON, image and live events."""

import json
import threading
import time
from contextlib import suppress
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import pytest

from tests.support.gateway import Client, Gateways, problem_of
from tests.support.net import wait_for

QR = {"phase": "qr", "text": "2@abc,def", "seconds": 60, "round": 1, "index": 2, "codes": 6}


def tell(client: Client, event: dict[str, Any]) -> None:
    answer = client.bot.put(f"/api/clients/{client.id}/bot/pairing", json=event)
    assert answer.status_code == 204, answer.text


def be(client: Client, state: str, **fields: Any) -> None:
    body = {"state": state, "channel": "neonize", "release": "1", **fields}
    client.bot.put(f"/api/clients/{client.id}/bot", json=body).raise_for_status()


def view(client: Client) -> dict[str, Any]:
    answer = client.integrator.get(f"/api/clients/{client.id}/pairing")
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    found: dict[str, Any] = answer.json()
    return found


def test_nothing_is_known_at_first(client: Client) -> None:
    found = view(client)
    assert (found["phase"], found["botState"], found["asked"]) == ("idle", "unknown", False)


def test_a_code_can_be_seen_until_it_passes(gateway: Gateways, client: Client) -> None:
    be(client, "waiting_for_pairing")
    tell(client, QR)
    found = view(client)
    assert (found["phase"], found["code"], found["index"], found["codes"]) == ("qr", "2@abc,def", 2, 6)
    assert 30 < found["secondsLeft"] <= 60
    root = ET.fromstring(found["svg"])
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    image = client.integrator.get(f"/api/clients/{client.id}/pairing/qr.svg")
    assert (image.headers["content-type"], image.text) == ("image/svg+xml", found["svg"])
    gateway.sql("UPDATE pairings SET valid_until = now() WHERE client_id = %s", client.id)
    assert (view(client)["phase"], view(client)["code"], view(client)["svg"]) == ("idle", "", "")
    problem_of(client.integrator.get(f"/api/clients/{client.id}/pairing/qr.svg"), 404)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"phase": "round_over", "round": 3}, {"phase": "round_over", "round": 3}),
        (
            {"phase": "failed", "reason": "client_outdated", "detail": "405"},
            {"phase": "failed", "failure": "client_outdated", "detail": "405"},
        ),
        (
            {"phase": "phone_code", "text": "ABCD1234", "number": "5511912345678", "seconds": 100},
            {"phase": "phone_code", "code": "ABCD1234", "number": "5511912345678"},
        ),
        ({"phase": "paired", "number": "5511912345678"}, {"phase": "paired", "number": "5511912345678"}),
    ],
)
def test_every_event_has_its_phase(client: Client, event: dict[str, Any], expected: dict[str, Any]) -> None:
    be(client, "waiting_for_pairing")
    tell(client, event)
    found = view(client)
    assert {name: found[name] for name in expected} == expected


def test_a_connected_bot_is_paired_whatever_it_told_before(client: Client) -> None:
    tell(client, QR)
    be(client, "connected", number="5511912345678")
    assert (view(client)["phase"], view(client)["number"]) == ("paired", "5511912345678")
    assert view(client)["svg"] == ""
    problem_of(client.integrator.post(f"/api/clients/{client.id}/pairing"), 409)
    url = f"/api/clients/{client.id}/pairing/phone-code"
    problem_of(client.integrator.post(url, json={"number": "+55 11 91234-5678"}), 409)
    be(client, "logged_out")
    assert view(client)["phase"] != "paired"


def test_a_phone_that_has_gone_since_is_not_paired(client: Client) -> None:
    be(client, "connected")
    tell(client, {"phase": "paired", "number": "5511912345678"})
    be(client, "logged_out", reason="logged out on the phone")
    found = view(client)
    assert (found["phase"], found["botState"], found["botReason"]) == (
        "idle", "logged_out", "logged out on the phone",
    )  # fmt: skip


def test_asking_for_codes_is_a_command(client: Client) -> None:
    url = f"/api/clients/{client.id}/pairing"
    assert client.integrator.post(url).json()["kind"] == "pair"
    assert view(client)["asked"]
    asked = client.integrator.post(f"{url}/phone-code", json={"number": "+55 (11) 91234-5678"})
    assert asked.status_code == 202
    orders = client.bot.get(f"/api/clients/{client.id}/commands").json()["commands"]
    assert [each["order"] for each in orders] == [
        {"kind": "pair"},
        {"kind": "phone_code", "number": "5511912345678"},
    ]


@pytest.mark.parametrize("number", ["", "123", "+55 11 1234", "eleven", "+0 11 91234-5678", "5" * 16])
def test_what_is_no_number_is_refused(client: Client, number: str) -> None:
    answer = client.integrator.post(f"/api/clients/{client.id}/pairing/phone-code", json={"number": number})
    problem = problem_of(answer, 400)
    assert problem["errors"][0]["field"] == "number"
    assert not number or f"{number!r}" not in problem["detail"]


@pytest.mark.parametrize(
    ("event", "named"),
    [
        ({**QR, "seconds": 0}, "seconds"),
        ({**QR, "seconds": 601}, "seconds"),
        ({**QR, "text": ""}, "text"),
        ({**QR, "text": "x" * 1001}, "text"),
        ({**QR, "round": -1}, "round"),
        ({"phase": "failed", "reason": "because"}, "reason"),
        ({"phase": "paired", "number": "me"}, "number"),
    ],
)
def test_what_a_bot_says_wrong_is_named(client: Client, event: dict[str, Any], named: str) -> None:
    answer = client.bot.put(f"/api/clients/{client.id}/bot/pairing", json=event)
    assert problem_of(answer, 400)["errors"][0]["field"] == named


class Listener:
    """Reads a client's live events in a thread."""

    def __init__(self, http: httpx.Client, client_id: str) -> None:
        self.events: list[dict[str, Any]] = []
        self.ended = threading.Event()
        self._http, self._url = http, f"/api/clients/{client_id}/pairing/events"
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with (
            suppress(httpx.TransportError),  # the test is over, and has closed the connection
            self._http.stream("GET", self._url, timeout=60) as answer,
        ):
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert answer.headers["x-accel-buffering"] == "no"
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    self.events.append(json.loads(line.removeprefix("data: ")))
        self.ended.set()

    def wait_for(self, phase: str) -> None:
        wait_for(lambda: any(each["phase"] == phase for each in self.events), f"an event {phase}", 20)


@pytest.fixture
def listener(client: Client) -> Listener:
    return Listener(client.integrator, client.id)


def test_changes_come_live(client: Client, listener: Listener) -> None:
    listener.wait_for("idle")
    tell(client, QR)
    listener.wait_for("qr")
    tell(client, {"phase": "paired", "number": "5511912345678"})
    listener.wait_for("paired")
    seen = [each["phase"] for each in listener.events]
    assert seen == ["idle", "qr", "paired"]


def test_a_code_that_passes_is_told_without_a_word_from_the_bot(client: Client, listener: Listener) -> None:
    listener.wait_for("idle")
    tell(client, {**QR, "seconds": 1.5})
    listener.wait_for("qr")
    wait_for(lambda: listener.events[-1]["phase"] == "idle", "the passed code is gone", 20)


def test_signals_cross_processes_and_do_without_redis(gateways: Gateways) -> None:
    gateways.start(2)
    client = gateways.add_client()
    listener = Listener(gateways.as_credential(client.integrator_credential, 1), client.id)
    listener.wait_for("idle")
    tell(client, QR)
    listener.wait_for("qr")
    gateways.redis.stop()
    try:
        tell(client, {"phase": "round_over", "round": 1})
        listener.wait_for("round_over")
    finally:
        gateways.redis.start()
    began = time.monotonic()
    gateways.services[1].stop()  # a stream does not hold up the end
    assert listener.ended.wait(20)
    assert time.monotonic() - began < 20


def test_the_link_is_told_once_and_stored_as_a_hash(gateway: Gateways, client: Client) -> None:
    made = [client.integrator.post(f"/api/clients/{client.id}/pairing/link").json() for _ in range(2)]
    urls = [each["url"] for each in made]
    assert all(url.startswith(f"{gateway.services[0].url}/pair/{client.id}.") for url in urls)
    rows = gateway.sql(
        "SELECT secret_hash, replaced_at IS NOT NULL, extract(epoch FROM expires_at - created_at)::int"
        " FROM pairing_links WHERE client_id = %s ORDER BY created_at",
        client.id,
    )
    assert [row[1:] for row in rows] == [(True, 72 * 3600), (False, 72 * 3600)]
    assert not any(url.rpartition(".")[2] in row[0] for url in urls for row in rows)
    problem_of(gateway.operator().post("/api/clients/nobody/pairing/link"), 404)


def test_the_clients_state_says_what_its_bot_says(gateway: Gateways, client: Client) -> None:
    be(client, "restricted", reason="reach-out lock", until=2_000_000_000, number="5511912345678")
    found = gateway.operator().get(f"/api/clients/{client.id}").json()
    assert (found["botState"], found["botReason"], found["botUntil"], found["botNumber"]) == (
        "restricted", "reach-out lock", "2033-05-18T03:33:20+00:00", "5511912345678",
    )  # fmt: skip
    since = found["botStateSince"]
    be(client, "restricted", reason="reach-out lock", until=2_000_000_000)
    assert gateway.operator().get(f"/api/clients/{client.id}").json()["botStateSince"] == since


def test_a_phone_that_is_silent_for_ten_days_is_a_warning(gateway: Gateways, client: Client) -> None:
    def warning(days: float) -> str:
        gateway.sql("UPDATE bot_status SET phone_seen_at = NULL WHERE client_id = %s", client.id)
        be(client, "connected", number="5511912345678", phoneSeenAt=time.time() - days * 86_400)
        found: str = gateway.operator().get(f"/api/clients/{client.id}").json()["botWarning"]
        return found

    assert warning(9) == ""
    assert "parado há 11 dias" in warning(11.01)
    assert "em até 3.0 dias" in warning(11.01)
    assert "a qualquer momento" in warning(15)
    be(client, "connected", number="5511912345678")  # a bot that was restarted has not seen the phone yet
    assert "a qualquer momento" in gateway.operator().get(f"/api/clients/{client.id}").json()["botWarning"]
    be(client, "connected", number="5511999999999")  # another phone
    assert gateway.operator().get(f"/api/clients/{client.id}").json()["botWarning"] == ""
