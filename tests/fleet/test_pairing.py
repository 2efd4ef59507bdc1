"""A new client on its default channel, the whole way: playbook, one-time link, page, scan, answers.

The phone, the contacts and WhatsApp are the local server's; neonize is the real one, in the release as built.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from tempfile import TemporaryFile

import pytest

from orbitbot.pairing.qr import as_svg, as_terminal
from tests.ansible.conftest import REPOSITORY
from tests.ansible.running import Run
from tests.fleet import release_tree
from tests.fleet.paired import CLIENT, HOST, LINK, PATIENCE, PairedShop, paired_shop
from tests.fleet.site import Site
from tests.support.net import wait_for
from tests.support.voices import synthesise

# The first of them may make the fleet.
pytestmark = [pytest.mark.fleet, pytest.mark.long, pytest.mark.timeout(1800)]

ANA, BETO = "5521988887777", "5521988886666"


@pytest.fixture(scope="module")
def shop(site: Site) -> Iterator[PairedShop]:
    """The client's surroundings; the tests below tell one story, in order."""
    with paired_shop(site) as made:
        yield made


@pytest.fixture(scope="module")
def added(shop: PairedShop) -> Run:
    """The run of add-client.yml."""
    return shop.add().require_success()


def test_a_new_client_waits_for_its_phone_and_the_operator_gets_a_link(added: Run, shop: PairedShop) -> None:
    assert LINK.search(added.output), added.output
    client = shop.api.client(CLIENT)
    assert (client.channel, client.bot_state) == ("neonize", "waiting_for_pairing")


def test_the_owner_scans_the_page_and_is_told_that_it_worked(added: Run, shop: PairedShop) -> None:
    link = LINK.search(added.output)
    assert link is not None
    with shop.browser() as browser:
        landing = browser.get(link[0])
        assert (landing.status_code, '<form method="post"' in landing.text) == (200, True)
        assert browser.post(link[0]).status_code == 200

        def shows_the_code() -> bool:
            drawn = re.search(r'<path[^>]* d="[^"]+"/>', as_svg(shop.code()))
            assert drawn is not None
            return drawn[0] in browser.get(link[0]).text

        wait_for(shows_the_code, "the page shows the code that the phone scans", PATIENCE)
        shop.scan()
        assert "WhatsApp conectado" in browser.get(link[0]).text
    with shop.browser() as another:
        assert another.get(link[0]).status_code == 410, "a link opens once"


def test_a_contacts_text_and_voice_note_are_answered(shop: PairedShop) -> None:
    shop.whatsapp.say(shop.number, ANA, "Qual o horário de funcionamento?")
    shop.whatsapp.record(shop.number, BETO, synthesise("quero dois bolos de chocolate"))
    wait_for(lambda: shop.answers(ANA) and shop.answers(BETO), "both are answered", PATIENCE)
    for answer in (*shop.answers(ANA), *shop.answers(BETO)):
        assert answer.text.strip()
        assert "bot" not in answer.tags, "no badge"


def test_the_release_is_byte_for_byte_the_one_that_was_built(shop: PairedShop) -> None:
    version, found = release_tree.on_host(shop.site.fleet, HOST)
    built = release_tree.as_built(version)
    assert {path: found.get(path) for path in built} == built
    extra = found.keys() - built.keys()
    assert extra == release_tree.added_by_installer(extra)
    assert any(path.endswith("neonize-linux-amd64.so") for path in built)


def test_its_state_is_told_everywhere(shop: PairedShop) -> None:
    assert f'orbitbot_bot_up{{client="{CLIENT}",state="connected"}} 1' in shop.metrics()
    shop.whatsapp.log_out(shop.number)
    shop.wait_for_state("logged_out", "waiting_for_pairing")
    status = shop.site.play("status").output
    assert re.search(rf"{CLIENT}: (logged_out|waiting_for_pairing)", status), status
    assert f'orbitbot_bot_up{{client="{CLIENT}",state="connected"}} 1' not in shop.metrics()


def test_a_shell_on_a_gateway_pairs_again(shop: PairedShop) -> None:
    command = f"orbitbot pair {CLIENT} --settings /etc/orbitbot/gateway.toml"
    scanned_off_the_terminal(
        shop,
        shop.site.fleet.ssh_command("gateway-1", f"/opt/orbitbot/current/venv/application/bin/{command}"),
    )
    shop.whatsapp.say(shop.number, ANA, "Vocês entregam?")
    wait_for(lambda: len(shop.answers(ANA)) > 1, "answered again", PATIENCE)


@pytest.mark.faults
@pytest.mark.parametrize("playbook", ["pair-client", "add-client"])
def test_a_playbook_pairs(shop: PairedShop, playbook: str) -> None:
    shop.whatsapp.log_out(shop.number)
    shop.wait_for_state("logged_out", "waiting_for_pairing")
    variables = {"client": CLIENT} | ({"host": HOST, "pair": "yes"} if playbook == "add-client" else {})
    scanned_off_the_terminal(shop, shop.site.command(playbook, **variables))


def scanned_off_the_terminal(shop: PairedShop, command: list[str]) -> None:
    """Run a command, scan the code that it prints, and see it succeed."""
    with (
        TemporaryFile("w+") as terminal,
        subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env=shop.site.environment,
            stdin=subprocess.DEVNULL,
            stdout=terminal,
            stderr=subprocess.STDOUT,
        ) as run,
    ):

        def printed() -> str:
            return os.pread(terminal.fileno(), 1 << 20, 0).decode()

        try:
            wait_for(lambda: as_terminal(shop.code()).strip() in printed(), "the code is printed", PATIENCE)
            shop.scan()
            assert run.wait(PATIENCE) == 0, printed()
        finally:
            run.kill()
