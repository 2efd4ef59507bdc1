"""Twenty kills of `make bench-crash` on each channel, with a fixed seed."""

from pathlib import Path

import pytest

from tests.load.kills import SimulatorWorld, WhatsAppWorld, run
from tests.whatsapp.handle import WhatsApp

KILLS = 20
SEED = 20261130


@pytest.mark.timeout(600)
def test_the_simulator_loses_and_doubles_nothing(tmp_path: Path) -> None:
    world = SimulatorWorld(tmp_path)
    try:
        account = run(world, kills=KILLS, seed=SEED)
    finally:
        world.close()
    print(account)
    assert (account.kills, account.lost, account.doubles, account.flagged) == (KILLS, [], 0, 0)
    assert len(account.died_with) > 2, "the kills hit the same point every time"


@pytest.mark.timeout(600)
def test_neonize_loses_only_what_it_acknowledged_early_and_flags_every_double(tmp_path: Path) -> None:
    with WhatsApp() as whatsapp:
        world = WhatsAppWorld(tmp_path, whatsapp, "5511900001000")
        try:
            account = run(world, kills=KILLS, seed=SEED)
        finally:
            world.close()
        assert whatsapp.unreadable() == []
    print(account)
    assert account.kills == KILLS
    assert account.lost == account.early, (
        "WhatsApp was not told that the bot had these, and yet they are lost"
    )
    assert len(account.lost) < KILLS / 2
    assert account.unflagged == 0, "a contact got an answer twice, and its turn does not say so"
    assert len(account.died_with) > 2, "the kills hit the same point every time"
