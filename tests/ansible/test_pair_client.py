"""Our own action `pair_client`, run by Ansible against an API that plays a phone's being linked."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.ansible.running import action


class Api(BaseHTTPRequestHandler):
    """A client that has a code once it is asked for one, and is linked two looks later."""

    asked: list[tuple[str, Any]]
    looks: int
    never = False

    def do_GET(self) -> None:
        kind = type(self)
        if not kind.asked or kind.never:
            self._answer({"phase": "idle", "botState": "waiting_for_pairing"})
            return
        kind.looks += 1
        if kind.looks > 2:
            self._answer({"phase": "paired", "botState": "connected", "number": "5511912345678"})
        else:
            self._answer({
                "phase": "qr", "botState": "waiting_for_pairing", "code": "2@abc", "secondsLeft": 17.2,
                "round": 1, "index": 2, "codes": 6,
            })  # fmt: skip

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        type(self).asked.append((self.path, json.loads(body) if body else None))
        self._answer({"id": 1})

    def _answer(self, body: dict[str, Any]) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"clientId": "padaria", **body}).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def api() -> Iterator[tuple[str, type[Api]]]:
    """Its address, and what it was asked."""
    kind = type("OneApi", (Api,), {"asked": [], "looks": 0})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", kind
    server.shutdown()
    thread.join()
    server.server_close()


def test_codes_are_shown_until_the_phone_is_linked(api: tuple[str, type[Api]]) -> None:
    url, kind = api
    result = action("pair_client", url=url, token="t", client="padaria", timeout=30)
    assert (result["paired"], result["changed"]) == (True, True)
    assert kind.asked == [("/api/clients/padaria/pairing", None)]
    again = action("pair_client", url=url, token="t", client="padaria", timeout=30)
    assert (again["paired"], again["changed"]) == (True, False)


def test_a_phone_code_is_asked_for_by_number(api: tuple[str, type[Api]]) -> None:
    url, kind = api
    action("pair_client", url=url, token="t", client="padaria", phone="+55 11 91234-5678", timeout=30)
    assert kind.asked == [("/api/clients/padaria/pairing/phone-code", {"number": "+5511912345678"})]


def test_what_cannot_be_is_refused_and_time_runs_out(api: tuple[str, type[Api]]) -> None:
    url, kind = api
    kind.never = True
    assert (
        "phone: not a telephone number" in action("pair_client", url=url, client="padaria", phone="x")["msg"]
    )
    assert "'No'" in action("pair_client", url=url, client="No")["msg"]
    assert "was not paired" in action("pair_client", url=url, client="padaria", timeout=1)["msg"]
