"""nginx between nodes that die: Debian's nginx with the role's own template, and nodes that are sockets."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from tests.ansible.rendering import render
from tests.support.net import free_port, port_is_open, wait_for

pytestmark = pytest.mark.integration

KEY = {"Idempotency-Key": "4c0ffee"}
MAIN = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


class _Answers(BaseHTTPRequestHandler):
    """Answers every request, with what it was asked."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        said = b"%s %s %s" % (self.command.encode(), self.path.encode(), body)
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_POST = do_GET  # noqa: N815  (the server's names)

    def log_message(self, *words: object) -> None:
        """Keep quiet."""


class _Dies(_Answers):
    """Reads the request, and ends the connection without a word."""

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.close_connection = True

    do_POST = do_GET  # noqa: N815


@contextmanager
def node(kind: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """A node; its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


@contextmanager
def nginx(folder: Path, *servers: str) -> Iterator[httpx.Client]:
    """A client of nginx before these nodes, none of which was asked for anything yet."""
    port = free_port()
    site = render(
        "nginx",
        "orbitbot.conf.j2",
        nginx_public=False,
        nginx_balancers=[{"name": "nodes", "port": port, "servers": list(servers)}],
    )
    (folder / "site.conf").write_text(site.replace("/var/log/nginx", str(folder)))
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder))
    with subprocess.Popen(
        ["nginx", "-c", folder / "nginx.conf", "-p", folder], stderr=subprocess.PIPE
    ) as server:
        try:
            wait_for(lambda: port_is_open(port), "nginx", 15)
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
                yield client
        finally:
            server.terminate()


def test_a_node_that_cannot_be_reached_costs_no_request(tmp_path: Path) -> None:
    with node(_Answers) as alive, nginx(tmp_path, f"127.0.0.1:{free_port()}", alive) as client:
        for number in range(10):
            assert client.get(f"/{number}").text == f"GET /{number} "
            assert client.post(f"/{number}", content="body").text == f"POST /{number} body"


@pytest.mark.parametrize(("method", "headers"), [("GET", {}), ("POST", KEY)], ids=["GET", "POST with a key"])
def test_a_node_that_dies_over_a_request_costs_none_that_may_be_repeated(
    tmp_path: Path, method: str, headers: dict[str, str]
) -> None:
    with node(_Answers) as alive, node(_Dies) as dies, nginx(tmp_path, dies, alive) as client:
        answer = client.request(method, "/a%2Fb?c=d", content="body", headers=headers)
    assert answer.text == f"{method} /a%2Fb?c=d body"
    assert "prematurely closed" in (tmp_path / "orbitbot.error.log").read_text(), "the node was not asked"


def test_what_may_not_be_repeated_is_not(tmp_path: Path) -> None:
    with node(_Answers) as alive, node(_Dies) as dies, nginx(tmp_path, dies, alive) as client:
        refused = client.post("/", content="body")
        assert client.post("/", content="body").text == "POST / body", "the node that failed does not rest"
    assert refused.status_code == httpx.codes.SERVICE_UNAVAILABLE
    assert refused.headers["Retry-After"] == "2"
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert "no node of nodes answers" in refused.json()["detail"]
