"""A gateway double and a real bot process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.bot.bot_process import BotProcess
from tests.support.gateway_double import GatewayDouble


@pytest.fixture
def gateway() -> Iterator[GatewayDouble]:
    """A gateway that answers at once, until told otherwise."""
    with GatewayDouble() as double:
        yield double


@pytest.fixture
def bot(tmp_path: Path, gateway: GatewayDouble) -> Iterator[BotProcess]:
    """A bot that is set up and not started."""
    process = BotProcess(tmp_path, gateway)
    process.make_directories()
    yield process
    process.clean_up()
