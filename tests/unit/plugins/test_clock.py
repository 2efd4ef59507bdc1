"""The built-in clock."""

from datetime import UTC, datetime

import pytest

from orbitbot.plugins.clock import Clock
from orbitbot.plugins.hooks import PromptContext

NOW = datetime(2026, 11, 22, 2, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("language", "timezone", "expected"),
    [
        ("pt", "America/Sao_Paulo", "Agora: sábado, 21 de novembro de 2026, 23:05 (America/Sao_Paulo)."),
        ("pt-BR", "Europe/Lisbon", "Agora: domingo, 22 de novembro de 2026, 02:05 (Europe/Lisbon)."),
        ("en", "Asia/Tokyo", "Now: Sunday, 22 November 2026, 11:05 (Asia/Tokyo)."),
        ("gn", "America/Sao_Paulo", "Now: Saturday, 21 November 2026, 23:05 (America/Sao_Paulo)."),
        ("en", "Nowhere/Atlantis", "Now: Sunday, 22 November 2026, 02:05 (UTC)."),
        ("en", "../etc/passwd", "Now: Sunday, 22 November 2026, 02:05 (UTC)."),
    ],
)
def test_says_the_time_where_the_client_is(language: str, timezone: str, expected: str) -> None:
    assert Clock().prompt_facts(PromptContext("padaria", language, timezone, NOW)) == expected
