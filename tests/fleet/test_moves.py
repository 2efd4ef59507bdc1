"""Clients on a fleet: placed, moved, drained, paused; runs that are killed, hosts that are cut off."""

import json
import random
import re
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.ansible.conftest import REPOSITORY
from tests.ansible.running import BINARIES, Run
from tests.fleet.contacts import Contacts
from tests.fleet.site import Site
from tests.hosts.command import HostsError
from tests.support import runbook
from tests.support.api import Api
from tests.support.net import wait_for

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(1800)]

QUESTION = "Qual o horario de funcionamento?"
BOT = r"python[0-9.]* \S*orbitbot bot"  # the bot itself, not what launches it
SEED = 20_261_130
MOVE_TASKS = (12, 48)  # of move-client.yml, from the beginning of the move to its end
BEFORE_THE_START = ("client : Stop the bot", "Copy session and journal")  # … at the new host
KILLS = 20  # of a move, in `make test-faults`
PATIENCE = 90.0  # seconds


@dataclass
class Traveller:
    """A client of the shared fleet, which a test moves and brings back."""

    site: Site
    client: str
    home: str
    away: str

    def move(self, to: str, **more: Any) -> Run:
        return self.site.play("move-client", client=self.client, to=to, **more)

    def at(self, host: str) -> list[int]:
        """The processes that are its bot on a host."""
        try:
            command = f"pgrep -u bot-{self.client} -f '{BOT}'"
            return [int(pid) for pid in self.site.fleet.ssh(host, command).split()]
        except HostsError:
            return []

    def assert_runs_only_at(self, host: str) -> None:
        other = self.away if host == self.home else self.home
        assert len(self.at(host)) == 1
        assert self.at(other) == []
        left = self.site.fleet.ssh(other, f"find /var/lib/orbitbot/bots -maxdepth 1 -name {self.client}")
        assert left == "", "the old copy is still there"

    def say(self, host: str, text: str = QUESTION) -> str:
        command = f"/opt/orbitbot/current/venv/bot/bin/orbitbot say {self.client} '{text}' --timeout=120"
        return self.site.fleet.ssh(host, command, timeout=150)

    def view(self) -> dict[str, Any]:
        with self.site.api() as api:
            found: dict[str, Any] = api.http.get(f"/api/clients/{self.client}").json()
        return found

    def wrong(self) -> str:
        with self.site.api() as api:
            clients = api.http.get("/api/fleet").json()["clients"]
        return str(next(each["wrong"] for each in clients if each["id"] == self.client))


@pytest.fixture
def traveller(site: Site) -> Iterator[Traveller]:
    """Afterwards it is at home again, whatever the test did."""
    client, home = next(iter(site.clients.items()))
    away = next(host for host in site.group("bots") if host != home)
    made = Traveller(site, client, home, away)
    yield made
    site.fleet.heal()
    if made.view()["host"] != home or made.wrong():
        if made.move(home).status:
            made.move(away).require_success()
            made.move(home).require_success()
        made.assert_runs_only_at(home)


def act_at(site: Site, playbook: str, acts: Mapping[str, Callable[[], None]], **values: Any) -> Run:
    """Run a playbook and do something the first time that it comes to a task."""
    run = subprocess.Popen(
        site.command(playbook, **values),
        cwd=REPOSITORY,
        env=site.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    seen, left = "", dict(acts)
    with run:
        assert run.stdout is not None
        for line in run.stdout:
            seen += line
            for task in [task for task in left if line.startswith(f"TASK [{task}")]:
                left.pop(task)()
    assert not left, f"the run never came to {', '.join(left)}:\n{seen}"
    return Run(run.returncode, seen)


def stop_at(site: Site, task: str, playbook: str, then: Callable[[], None], **values: Any) -> Run:
    """Run a playbook and do something as soon as it comes to a task."""
    return act_at(site, playbook, {task: then}, **values)


def under_traffic(
    traveller: Traveller, contacts: Contacts, arrival: str, playbook: str, **values: Any
) -> Run:
    """Run a playbook that moves the client while people write to it."""
    contacts.wait_for_more(3)
    acts = {
        "client : Remove the bot's program file": contacts.leave,
        "See it answer": lambda: contacts.arrive(arrival),
    }
    run = act_at(traveller.site, playbook, acts, **values)
    contacts.wait_for_more(3)
    return run


def test_a_host_is_drained_and_its_bot_moved_back_while_people_write(traveller: Traveller) -> None:
    site, home, away = traveller.site, traveller.home, traveller.away
    with Contacts(site, traveller.client, home) as contacts:
        try:
            drained = under_traffic(traveller, contacts, away, "drain-host", host=home).require_success()
            traveller.assert_runs_only_at(away)
        finally:
            opened = site.play("drain-host", host=home, open=True).require_success()
        moved = under_traffic(
            traveller, contacts, home, "move-client", client=traveller.client, to=home
        ).require_success()
        traveller.assert_runs_only_at(home)
        contacts.assert_each_was_answered_once(home)
    assert f"{home}: 1 moved, 0 left" in drained.output
    assert f"{home} takes bots again" in opened.output
    told = re.search(
        rf"{traveller.client} runs on {home}, generation \d+; silent for ([\d.]+) s", moved.output
    )
    assert told is not None, moved.output
    assert float(told[1]) > 0
    assert traveller.wrong() == ""


def test_a_paused_client_records_and_answers_again_when_it_is_resumed(traveller: Traveller) -> None:
    site, client = traveller.site, traveller.client
    site.play("pause-client", client=client).require_success()
    with site.api() as api, Contacts(site, client, traveller.home) as contacts:
        try:
            assert api.client(client).bot_state == "paused"
            contacts.wait_for_more(3)
        finally:
            api.http.post(f"/api/clients/{client}/resume").raise_for_status()
        contacts.wait_for_more(6)
    with site.api() as api:
        wait_for(lambda: all(final(api, client, each) for each in contacts.written), "the others", PATIENCE)
        states = [final(api, client, each) for each in contacts.written]
    assert states[:3] == ["silenced muted"] * 3
    answered = states.index("delivered")
    assert set(states[:answered]) == {"silenced muted"}
    assert set(states[answered:]) == {"delivered"}


def final(api: Api, client: str, message_id: str) -> str:
    """A message's final state and why; empty while it has none."""
    story = api.story(client, message_id)
    ended = story is not None and story.state in ("delivered", "silenced", "failed")
    return f"{story.state} {story.reason}".strip() if story and ended else ""


def reconcile(site: Site, **values: Any) -> Run:
    """What site.yml does last, alone: ask who belongs where, and bring the hosts to that."""
    done = subprocess.run(
        [str(BINARIES / "ansible-playbook"), "-i", str(site.inventory), "tests/fleet/reconcile.yml"]
        + (["-e", json.dumps(values)] if values else []),
        cwd=REPOSITORY,
        env=site.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    return Run(done.returncode, done.stdout + done.stderr)


def test_reconciling_stops_nobody_for_want_of_truth(traveller: Traveller) -> None:
    """The source of truth refuses, and then there is one that knows no client."""
    (before,) = traveller.at(traveller.home)
    refused = reconcile(traveller.site, vault_operator_password="not this one").require_success()
    assert "All bots stay as they are: The API answered 401" in " ".join(refused.output.split())
    refused.require_changes(0)
    empty = {"hosts": [], "clients": [], "removed": [], "moves": []}
    with serving({"/healthz": {}, "/api/auth/token": {"access_token": "x"}, "/api/fleet": empty}) as url:
        nothing = reconcile(traveller.site, orbitbot_public_url=url).require_success()
    assert f"the database knows no client, and {traveller.home} has 1 bots: they stay" in nothing.output
    nothing.require_changes(0)
    assert traveller.at(traveller.home) == [before]


@contextmanager
def serving(answers: Mapping[str, Any]) -> Iterator[str]:
    """An API on this machine with these answers; its address."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(answers[self.path]).encode())

        do_POST = do_GET  # noqa: N815  (http.server's name)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (as above)
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@pytest.mark.faults
def test_a_move_that_is_killed_goes_on_and_exactly_one_bot_runs(traveller: Traveller) -> None:
    killed = traveller.site.kill_at_task(
        random.Random(SEED).randrange(*MOVE_TASKS),
        "move-client",
        client=traveller.client,
        to=traveller.away,
    )
    moved = traveller.move(traveller.away).require_success()
    assert f"{traveller.client} runs on {traveller.away}, generation " in moved.output, killed
    traveller.assert_runs_only_at(traveller.away)
    assert traveller.say(traveller.away).strip()
    assert traveller.wrong() == ""


@pytest.mark.faults
@pytest.mark.timeout(3 * 3600)
def test_a_move_that_is_killed_at_any_task_goes_on(traveller: Traveller) -> None:
    rng = random.Random(SEED)
    for _ in range(KILLS):
        to = traveller.away if traveller.view()["host"] == traveller.home else traveller.home
        killed = traveller.site.kill_at_task(
            rng.randrange(*MOVE_TASKS), "move-client", client=traveller.client, to=to
        )
        moved = traveller.move(to)
        assert moved.status == 0, f"{killed}\n{moved.output}"
        traveller.assert_runs_only_at(to)
        assert traveller.say(to).strip(), killed


@pytest.mark.faults
@pytest.mark.parametrize("cut_off", ["home", "away"])
@pytest.mark.parametrize("task", [*BEFORE_THE_START, "client : Write the bot's settings"])
def test_a_host_that_is_cut_off_in_the_middle(traveller: Traveller, cut_off: str, task: str) -> None:
    host = getattr(traveller, cut_off)
    broken = stop_at(
        traveller.site,
        task,
        "move-client",
        lambda: traveller.site.fleet.partition(host),
        client=traveller.client,
        to=traveller.away,
    )
    if cut_off == "away" and task in BEFORE_THE_START:
        assert len(traveller.at(traveller.home)) == 1, "it did not go back by itself"
    traveller.site.fleet.heal()
    said = " ".join(broken.output.split())
    assert broken.status != 0
    assert f"{host} cannot be reached" in said, said
    assert f"playbooks/move-client.yml -e client={traveller.client} -e to=" in said, said
    silent = (cut_off == "home") == (task in BEFORE_THE_START)
    words = (
        "is between " if silent else f"runs on {traveller.home if cut_off == 'away' else traveller.away} and"
    )
    assert f"{traveller.client} {words}" in said, said
    wait_for(lambda: traveller.site.fleet.status(host) == "running", "the host again", PATIENCE)
    done = traveller.move(traveller.away)
    assert done.status == 0, f"{broken.output}\n{done.output}"
    traveller.assert_runs_only_at(traveller.away)
    assert traveller.say(traveller.away).strip()


@pytest.mark.faults
def test_after_a_partition_one_generation_wins(traveller: Traveller) -> None:
    """The old host is taken for dead and is not: both bots run until they can see each other."""
    traveller.site.fleet.partition(traveller.home)
    traveller.move(traveller.away, old_host_is_dead=True).require_success()
    assert len(traveller.at(traveller.away)) == 1
    traveller.site.fleet.heal()
    wait_for(lambda: traveller.at(traveller.home) == [], "the old bot to end", PATIENCE)
    assert len(traveller.at(traveller.away)) == 1
    assert traveller.say(traveller.away).strip()


@pytest.mark.faults
def test_a_leftover_process_in_the_session_directory_is_ended(traveller: Traveller) -> None:
    folder = f"/var/lib/orbitbot/bots/{traveller.client}"
    leftover = f"setpriv --reuid=bot-{traveller.client} --clear-groups flock {folder}/journal.db sleep 600"
    traveller.site.fleet.ssh(traveller.home, f"nohup {leftover} >/dev/null 2>&1 & sleep 0.2")
    traveller.move(traveller.away).require_success()
    traveller.assert_runs_only_at(traveller.away)


@pytest.mark.faults
def test_a_session_in_use_by_somebody_else_sends_the_bot_back(traveller: Traveller) -> None:
    folder = f"/var/lib/orbitbot/bots/{traveller.client}"
    holder = f"import fcntl, time; f = open('{folder}/lock'); fcntl.flock(f, fcntl.LOCK_EX); time.sleep(600)"
    waiting = f'nohup python3 -c "{holder}" >/dev/null 2>&1 & echo $!'
    pid = traveller.site.fleet.ssh(traveller.home, waiting).strip()

    def free() -> None:
        traveller.site.fleet.ssh(traveller.home, f"kill {pid}")

    refused = stop_at(
        traveller.site,
        "Turn the move back",
        "move-client",
        free,
        client=traveller.client,
        to=traveller.away,
    )
    assert refused.status != 0
    assert "is in use by a process" in refused.output
    assert f"runs on {traveller.home} as before" in " ".join(refused.output.split())
    traveller.assert_runs_only_at(traveller.home)


@pytest.mark.faults
def test_two_moves_of_one_client_at_once(traveller: Traveller) -> None:
    command = traveller.site.command("move-client", client=traveller.client, to=traveller.away, lock_wait=600)
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    runs = [
        subprocess.Popen(
            command, cwd=REPOSITORY, env=traveller.site.environment, stdin=subprocess.DEVNULL, **pipes
        )
        for _ in range(2)
    ]
    outputs = [run.communicate(timeout=600)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], outputs
    assert sum("there was nothing to move" in each for each in outputs) == 1
    traveller.assert_runs_only_at(traveller.away)


@pytest.mark.faults
def test_a_move_to_a_full_host_is_refused_before_anything_is_stopped(traveller: Traveller) -> None:
    (before,) = traveller.at(traveller.home)
    refused = traveller.move(traveller.away, client_host_bots=1)
    assert refused.status != 0
    assert f"{traveller.away} takes no more bots: it has " in " ".join(refused.output.split())
    assert traveller.at(traveller.home) == [before]


@pytest.mark.faults
def test_a_drain_with_one_that_does_not_start_elsewhere(traveller: Traveller) -> None:
    """Its file cannot be written at the new host: it goes back, the others go, the end says which."""
    fleet, site = traveller.site.fleet, traveller.site
    site.play("add-client", client="other", channel="simulator", host=traveller.home).require_success()
    blocked = f"/etc/orbitbot/bots/{traveller.client}.toml"
    try:
        fleet.ssh(traveller.away, f"mkdir -p {blocked}/x")
        drained = site.play("drain-host", host=traveller.home)
        assert drained.status != 0
        said = " ".join(drained.output.split())
        assert f"{traveller.home}: 1 moved, 1 left" in said
        assert f"other -> {traveller.away}" in said
        assert f"{traveller.client} NOT MOVED" in said
        assert f"playbooks/move-client.yml -e client={traveller.client} -e to=HOST" in said
        assert len(traveller.at(traveller.home)) == 1
        gone = fleet.ssh(traveller.away, f"ls {blocked} 2>/dev/null || echo gone").strip()
        assert gone == "gone", "what was made at the new host is still there"
        site.play("drain-host", host=traveller.home).require_success()
        traveller.assert_runs_only_at(traveller.away)
    finally:
        fleet.ssh(traveller.away, f"[ ! -d {blocked} ] || rm -r {blocked}")
        site.play("drain-host", host=traveller.home, open=True).require_success()
        site.play("remove-client", client="other", purge=True).require_success()


@pytest.mark.faults
@pytest.mark.parametrize("page", ["move-client", "drain-host", "add-host"])
def test_a_runbook_is_followed_word_by_word(traveller: Traveller, page: str) -> None:
    path = REPOSITORY / f"docs/runbooks/{page}.md"
    for command in runbook.commands(path):
        text = command.text.replace("inventory/fleet", str(traveller.site.inventory))
        text = text.replace("inventory/local", str(traveller.site.inventory))
        runbook.run(
            runbook.Command(command.where, command.section, text, command.expected),
            900.0,
            environment=traveller.site.environment,
        )


@pytest.mark.faults
def test_many_clients_in_one_run(site: Site, tmp_path: Path) -> None:
    clients = [f"many-{number}" for number in range(4)]
    path = tmp_path / "clients.toml"
    path.write_text("".join(f'[[clients]]\nid = "{each}"\nchannel = "simulator"\n' for each in clients))
    broken = "/etc/supervisor/conf.d/orbitbot-bot-broken.conf"
    try:
        # Somebody's broken file keeps nobody from being added.
        site.fleet.ssh("bots-1", f"printf '[program:bot-broken]\\nuser=nobody-has-this-name\\n' >{broken}")
        added = site.play("add-client", clients_file=str(path)).require_success()
        assert "of the clients run there" in added.output
        assert site.fleet.ssh("bots-1", f"ls {broken}*").strip() == f"{broken}.broken"
        site.play("add-client", clients_file=str(path)).require_success().require_changes(0)
        site.play("add-client", client=clients[0]).require_success().require_changes(0)
        refused = site.play("add-client", client="one-too-many", client_host_bots=2)
        assert "no host takes another bot" in " ".join(refused.output.split())
    finally:
        site.fleet.ssh("bots-1", f"rm -f {broken}*")
        for each in clients:
            site.play("remove-client", client=each, purge=True).require_success()


@pytest.mark.faults
def test_reconciling_brings_up_and_takes_off(traveller: Traveller) -> None:
    """A program's file is lost at one host; at the other one is left that belongs nowhere any more."""
    fleet, site, client = traveller.site.fleet, traveller.site, traveller.client
    program = f"/etc/supervisor/conf.d/orbitbot-bot-{client}.conf"
    stray = program.replace(client, "stray")
    fleet.ssh(traveller.home, f"rm {program} && supervisorctl update bot-{client}")
    fleet.ssh(traveller.away, f"printf '[program:bot-stray]\\ncommand=/bin/sleep 9999\\n' >{stray}")
    fleet.ssh(traveller.away, "supervisorctl update bot-stray")
    assert traveller.at(traveller.home) == []
    site.play("site").require_success()
    assert len(traveller.at(traveller.home)) == 1
    assert fleet.ssh(traveller.away, f"ls {stray} 2>&1; supervisorctl status bot-stray || [ $? = 4 ]").strip()
    site.play("site").require_success().require_changes(0)
