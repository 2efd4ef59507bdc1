"""A readiness check is asked once a second at most, and a failure is remembered as one."""

import pytest

from orbitbot.foundation.errors import Unavailable
from orbitbot.gateway import main


async def test_a_check_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    calls = 0

    async def check() -> str:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise Unavailable("gone")
        return f"call {calls}"

    monkeypatch.setattr(main.time, "monotonic", lambda: now)
    asked = main.remembered(check)
    assert [await asked(), await asked()] == ["call 1", "call 1"]
    now = main.CHECK_SECONDS
    for _ in range(2):
        with pytest.raises(Unavailable):
            await asked()
    now = 2 * main.CHECK_SECONDS
    assert await asked() == "call 3"
