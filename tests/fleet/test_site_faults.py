"""What a fleet survives: dead nodes, power cuts, broken networks, killed playbooks, broken files."""

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.fleet.load import Load, post
from tests.fleet.site import SEED, Site
from tests.hosts.command import HostsError
from tests.hosts.processes import wait_until
from tests.support.net import wait_for

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(1800)]

QUESTION = "Qual o horario de funcionamento?"
READY = 90.0  # seconds in which a fleet is ready again after a host came back
BOT = r"python[0-9.]* \S*orbitbot bot"  # the bot itself, not what launches it
SHORT, LONG = 8.0, 60.0  # seconds that a bot host is cut off, in `make test` and in `make test-faults`
KILLS = 20  # of a playbook, in `make test-faults`


def ready(site: Site) -> bool:
    """Whether every gateway says that it can serve."""
    with site.api() as api:
        return all(
            api.http.get(f"https://{site.address(host)}/readyz").is_success for host in site.group("gateway")
        )


def bots(site: Site, client: str) -> list[int]:
    """The processes that are this client's bot."""
    try:
        return [
            int(pid)
            for pid in site.fleet.ssh(site.clients[client], f"pgrep -u bot-{client} -f '{BOT}'").split()
        ]
    except HostsError:
        return []


def test_a_dead_gateway_and_ai_node_is_passed_by_without_a_failed_request(site: Site) -> None:
    """The power of a host goes that is both, with requests under way in it; the other one serves all."""
    try:
        with Load(site.api, "padaria", senders=3) as load:
            load.wait_for_answers(10, 60)
            site.fleet.ssh("gateway-2", "pkill -STOP -f 'orbitbot (gateway|ai)'")
            time.sleep(3)  # requests arrive there and wait
            site.fleet.kill("gateway-2")
            load.wait_for_answers(30, 120)
        assert load.failed == []
        assert max(each.seconds for each in load.posted) > 3, "no request was under way in the dead node"
    finally:
        site.fleet.start("gateway-2")
    wait_for(lambda: ready(site), "both gateways", READY)


def test_nothing_acknowledged_is_lost_with_the_power_of_the_database_host(site: Site) -> None:
    with Load(site.api, "padaria") as load:
        load.wait_for_answers(10, 60)
        site.fleet.kill("database-1")
        acknowledged = list(load.answered)
        site.fleet.start("database-1")
        load.wait_for_answers(5, READY)
    with site.api() as api:
        for each in acknowledged:
            assert post(api, "padaria", each.contact, each.key) == each, "another answer to the same key"
    wait_for(lambda: ready(site), "both gateways", READY)


@pytest.mark.parametrize("seconds", [SHORT, pytest.param(LONG, marks=pytest.mark.faults)])
def test_a_bot_host_that_is_cut_off_journals_and_catches_up(site: Site, seconds: float) -> None:
    with ThreadPoolExecutor() as pool:
        site.fleet.partition("bots-1", keep_controller=True)
        try:
            said = [pool.submit(site.say, "padaria", QUESTION, f"551190000{n:04}") for n in range(5)]
            site.fleet.ssh("bots-1", f"sleep {seconds}", timeout=seconds + 30)
            assert not any(each.done() for each in said), "it was not cut off"
        finally:
            site.fleet.heal()
        for each in said:
            assert each.result(timeout=150).strip()


def test_a_killed_supervisord_leaves_no_second_bot(site: Site) -> None:
    (before,) = bots(site, "padaria")
    site.fleet.ssh("bots-1", "kill -9 $(cat /run/supervisord.pid)")

    def one_new_bot() -> bool:
        found = bots(site, "padaria")
        assert len(found) <= 1, "two bots at once"
        return len(found) == 1 and before not in found

    wait_for(one_new_bot, "the new bot", 60)
    assert site.say("padaria", QUESTION).strip()
    assert len(bots(site, "padaria")) == 1


def test_one_broken_client_file_stops_nobody_else(site: Site) -> None:
    broken = "/etc/supervisor/conf.d/orbitbot-bot-broken.conf"
    try:
        site.fleet.ssh("bots-2", f"printf '[program:bot-broken]\\nuser=nobody-has-this-name\\n' >{broken}")
        site.fleet.ssh("bots-2", "systemctl restart supervisor")
        wait_for(lambda: len(bots(site, "clinica")) == 1, "the other bot", 60)
        assert site.say("clinica", QUESTION).strip()
        assert "is set aside" in site.fleet.ssh("bots-2", "journalctl --unit supervisor --no-pager")
    finally:
        site.fleet.ssh("bots-2", f"rm -f {broken}*")


def test_a_host_that_cannot_be_reached_keeps_no_other_from_being_finished(site: Site) -> None:
    site.fleet.partition("speech-1")
    try:
        site.fleet.ssh("bots-1", "rm /etc/orbitbot/ca.crt")
        run = site.play("site", "--limit", "speech-1:bots-1:localhost")  # enough, and sooner done than all
    finally:
        site.fleet.heal()
    assert run.status != 0
    assert "speech-1 (" in run.output, run.output
    assert "ansible-playbook" in run.output.partition("Not finished:")[2], run.output
    assert site.fleet.ssh("bots-1", "ls /etc/orbitbot/ca.crt").strip(), "another host was not finished"
    wait_until(lambda: site.fleet.status("speech-1") == "running", "speech-1 again", 30)


@pytest.fixture(scope="module")
def tasks(site: Site) -> Iterator[int]:
    """How many tasks a run of `site.yml` has; in the end what the kills had it change is changed back."""
    yield site.play("site").require_success().output.count("\nTASK [")
    site.unspoil()
    site.play("site").require_success()


@pytest.mark.faults
@pytest.mark.parametrize("number", range(KILLS))
def test_a_playbook_that_is_killed_at_any_task_is_made_good_by_the_next_run(
    site: Site, tasks: int, number: int
) -> None:
    site.spoil(number)
    print(site.kill_at_task(random.Random(f"{SEED} {number}").randrange(1, tasks)))
    site.play("site").require_success()
    site.play("site").require_success().require_changes(0)
