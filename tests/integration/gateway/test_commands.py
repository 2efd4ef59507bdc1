"""`orbitbot why` and `orbitbot set-operator`, as an operator runs them."""

import json
import subprocess
from pathlib import Path

from tests.support.gateway import Client, Gateways
from tests.support.stack import ORBITBOT


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [ORBITBOT, *(str(argument) for argument in arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_why_tells_the_story(gateway: Gateways, client: Client) -> None:
    client.post("Tem pão?", key="turn-7", message_id="wamid.7", contact="5511987654321").raise_for_status()
    done = run("why", "wamid.7", "--settings", gateway.settings_file)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == f"wamid.7 of {client.id}, text from …4321: answered"
    assert [line.split()[-4] for line in lines[1:6]] == [
        "sent", "journaled", "received", "answering", "answered",
    ]  # fmt: skip
    assert "turn turn-7; attempts: 1" in done.stdout
    assert "answered by double-1 (provider)" in done.stdout
    assert "Tem pão?" not in done.stdout
    shown = run("why", "turn-7", "--settings", gateway.settings_file, "--client", client.id, "--show-text")
    assert "wrote: Tem pão?" in shown.stdout
    assert "got: echo: Tem pão?" in shown.stdout


def test_why_in_json(gateway: Gateways, client: Client) -> None:
    other = gateway.add_client()
    for each in (client, other):
        each.post("oi", message_id="wamid.8").raise_for_status()
    done = run("why", "wamid.8", "--settings", gateway.settings_file, "--json")
    stories = json.loads(done.stdout)
    assert {story["clientId"] for story in stories} == {client.id, other.id}
    assert {story["contact"] for story in stories} == {"…0001"}
    assert {story["message"] for story in stories} == {""}
    one = run("why", "wamid.8", "--settings", gateway.settings_file, "--json", "--client", other.id)
    assert [story["clientId"] for story in json.loads(one.stdout)] == [other.id]


def test_why_of_what_is_not_there(gateway: Gateways, client: Client) -> None:
    done = run("why", "nothing", "--settings", gateway.settings_file)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "orbitbot: the ledger has no message or turn 'nothing'\n"
    done = run("why", "x", "--settings", gateway.settings_file, "--client", "Not-An-Id")
    assert done.returncode == 1
    assert "'Not-An-Id' is not a client id" in done.stderr


def test_operators_that_cannot_be(gateway: Gateways, tmp_path: Path) -> None:
    settings = gateway.directory / "migrate.toml"
    short, good = tmp_path / "short", tmp_path / "good"
    short.write_text("hunter2\n")
    good.write_text("a long enough password\n")
    for name, password, message in [
        ("somebody", short, "fewer than 12 characters"),
        ("Some Body", good, "'Some Body' is not an operator's name"),
        ("somebody", tmp_path / "missing", "No such file"),
    ]:
        done = run("set-operator", name, "--password-file", password, "--settings", settings)
        assert done.returncode == 2
        assert message in done.stderr
        assert "hunter2" not in done.stderr
    assert gateway.sql("SELECT count(*) FROM operators WHERE name = 'somebody'") == [(0,)]


def test_wrong_settings_are_one_line(tmp_path: Path) -> None:
    wrong = tmp_path / "gateway.toml"
    wrong.write_text('redis_urll = "redis://127.0.0.1"\n')
    done = run("gateway", "--settings", wrong)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "redis_urll" in done.stderr
    assert run("gateway", "--settings", tmp_path / "none.toml").returncode == 2


def test_pair_in_a_terminal(gateway: Gateways, client: Client) -> None:
    base = f"/api/clients/{client.id}/bot"

    def pair(*more: str) -> subprocess.CompletedProcess[str]:
        return run("pair", client.id, "--settings", gateway.settings_file, "--timeout", "2", *more)

    waiting = {"state": "waiting_for_pairing", "channel": "neonize", "release": "1"}
    client.bot.put(base, json=waiting).raise_for_status()
    code = {"phase": "qr", "text": "2@abc", "seconds": 60, "round": 1, "index": 3, "codes": 6}
    client.bot.put(f"{base}/pairing", json=code).raise_for_status()
    shown = pair()
    assert (shown.returncode, shown.stderr) == (1, "")
    assert "code 3 of 6, round 1, valid for another" in shown.stdout
    assert "▀" in shown.stdout or "▄" in shown.stdout
    assert f"{client.id} was not connected: nobody did it within 2 s" in shown.stdout
    pair("--phone", "+55 11 91234-5678")
    orders = client.bot.get(f"/api/clients/{client.id}/commands").json()["commands"]
    assert [each["order"] for each in orders] == [{"kind": "phone_code", "number": "5511912345678"}]
    client.bot.put(base, json={**waiting, "state": "connected", "number": "5511912345678"}).raise_for_status()
    done = pair()
    assert (done.returncode, done.stdout) == (0, f"{client.id} is connected: +55 11 91234-5678\n")


def test_pairing_what_is_not_there(gateway: Gateways) -> None:
    for arguments, says in [
        (["nobody"], "there is no client 'nobody'"),
        (["Nobody"], "'Nobody' is not a client id"),
        (["nobody", "--phone", "12"], "--phone: not a telephone number"),
        (["nobody", "--timeout", "0"], "--timeout: 0 is not above 0"),
    ]:
        done = run("pair", *arguments, "--settings", gateway.settings_file)
        assert (done.returncode, done.stdout) == (1, "")
        assert says in done.stderr
