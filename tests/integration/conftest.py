"""What several kinds of integration tests share."""

from collections.abc import Iterator

import pytest

from tests.whatsapp.handle import WhatsApp


@pytest.fixture
def whatsapp() -> Iterator[WhatsApp]:
    """A server, that in the end has seen nothing it could not read."""
    with WhatsApp() as server:
        yield server
        assert server.unreadable() == []
