"""Which provider answers, and the file that decides it."""

import os
import uuid
from pathlib import Path

import msgspec
import pytest

from orbitbot.ai.metrics import DESCRIBED, Metrics
from orbitbot.ai.models import Profile, Question
from orbitbot.ai.money import Purse, Spent
from orbitbot.ai.providers.answering import LanguageModels
from orbitbot.ai.providers.keys import KeyFile, Keyring
from orbitbot.ai.providers.selection import Providers
from orbitbot.ai.sealing import SealBrokenError, Sealer
from orbitbot.ai.settings import BudgetSettings, ProviderSettings
from orbitbot.contracts.configure import ClientSettings


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "provider-key"


def enter(path: Path, key: str) -> None:
    path.write_text(key)


def test_the_key_follows_its_file(path: Path) -> None:
    keys = KeyFile(path)
    assert (keys.key(), keys.problem) == ("", "no provider key")
    path.write_text("sk-1\n")
    assert (keys.key(), keys.problem) == ("sk-1", "")
    path.write_text("sk-22\n")
    assert keys.key() == "sk-22"
    replacement = path.with_name("new")
    replacement.write_text("sk-33\n")
    status = path.stat()
    os.utime(replacement, ns=(status.st_atime_ns, status.st_mtime_ns))
    replacement.replace(path)  # same size, same time: only the inode tells
    assert keys.key() == "sk-33"
    path.unlink()
    assert (keys.key(), keys.problem) == ("", "no provider key")


def test_an_unchanged_file_is_not_read_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text("sk-1")
    keys = KeyFile(path)
    assert keys.key() == "sk-1"
    monkeypatch.setattr(keys, "_read", lambda: pytest.fail("the file was read again"))
    assert keys.key() == "sk-1"


@pytest.mark.parametrize("content", [b"two words", b"a\x00b", b"k" * 1001, b"two\nlines", b"sk-\xff"])
def test_what_is_not_a_key(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    keys = KeyFile(path)
    assert keys.key() == ""
    assert "key" in keys.problem
    assert content.decode("latin-1") not in keys.problem


@pytest.mark.parametrize("content", [b"", b"\n", b"  \n"])
def test_an_empty_file_is_no_key(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    keys = KeyFile(path)
    assert (keys.key(), keys.problem) == ("", "no provider key")


def test_a_directory_in_its_place_is_no_key(path: Path) -> None:
    path.mkdir()
    keys = KeyFile(path)
    assert keys.key() == ""
    assert keys.problem == "the provider key cannot be read (IsADirectoryError)"


class FreeMoney:
    """Nobody asks for it."""

    async def reserve(self, purse: Purse, amount_usd: float) -> uuid.UUID:
        return uuid.uuid4()

    async def settle(self, purse: Purse, reservation: uuid.UUID, spent: Spent) -> None:
        return


def providers(settings: ProviderSettings) -> Providers:
    """All of it, without a database."""
    keyring, metrics = Keyring(KeyFile(settings.api_key_file), Sealer("s")), Metrics(DESCRIBED)
    models = LanguageModels(
        settings,
        BudgetSettings(),
        keyring=keyring,
        money=FreeMoney(),  # type: ignore[arg-type]
        metrics=metrics,
    )
    return Providers(settings, keyring=keyring, models=models, metrics=metrics)


async def test_the_check_tells_provider_reason_and_last_error(path: Path) -> None:
    chosen = providers(ProviderSettings(default_model="m/1", api_key_file=str(path)))
    assert await chosen.describe() == "offline: no provider key"
    enter(path, "sk-secret")
    assert await chosen.describe() == "openai_compatible: https://openrouter.ai/api/v1, model m/1"
    chosen.note_failure("rate limited (429)", "padaria")
    failing = await chosen.describe()
    assert "rate limited (429); the FAQ answers meanwhile" in failing
    assert "sk-secret" not in failing
    chosen.note_success()
    assert (await chosen.describe()).endswith("rate limited (429); it has answered since")
    await chosen.close()


async def test_an_unreachable_service_falls_back(path: Path) -> None:
    enter(path, "sk-1")
    settings = ProviderSettings(
        default_model="m/1", api_key_file=str(path), base_url="http://127.0.0.1:9/v1", max_retries=0
    )
    chosen = providers(settings)
    client = Profile("padaria", "1", "Padaria", "pt", "UTC", "", ClientSettings(get_back_text="Já volto!"))
    answer = await chosen.answer(Question(client, "oi"))
    assert (answer.text, answer.source) == ("Já volto!", "get_back")
    assert answer.provider_ms > 0
    assert "cannot connect (ConnectError)" in await chosen.describe()
    await chosen.close()


def test_a_clients_own_key_is_used_for_it_alone(path: Path) -> None:
    enter(path, "sk-operator")
    keyring = Keyring(KeyFile(path), Sealer("secret"))
    sealed = Sealer("secret").seal("padaria", "sk-own")
    client = Profile("padaria", "1", "Padaria", "pt", "UTC", "", ClientSettings(), sealed)
    assert keyring.key_of(client) == ("sk-own", True)
    other = msgspec.structs.replace(client, client_id="acme")
    assert Keyring(KeyFile(path), Sealer("secret")).key_of(other) == ("", True), "sealed for another client"
    assert keyring.key_of(msgspec.structs.replace(client, sealed_key=None)) == ("sk-operator", False)
    assert Keyring(KeyFile(path), None).key_of(client) == ("", True), "the operator does not pay unasked"


def test_what_is_sealed_shows_nothing() -> None:
    first, second = (Sealer("secret").seal("padaria", "sk-own") for _ in range(2))
    assert first != second
    assert b"sk-own" not in first
    for sealer, client, sealed in [
        (Sealer("other"), "padaria", first),
        (Sealer("secret"), "acme", first),
        (Sealer("secret"), "padaria", first[:-1] + bytes([first[-1] ^ 1])),
        (Sealer("secret"), "padaria", b"\x02" + first[1:]),
        (Sealer("secret"), "padaria", b""),
    ]:
        with pytest.raises(SealBrokenError):
            sealer.open(client, sealed)
