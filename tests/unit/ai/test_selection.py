"""Which provider answers, and the file that decides it."""

import os
from pathlib import Path

import pytest

from orbitbot.ai.models import Profile, Question
from orbitbot.ai.providers.base import ProviderError
from orbitbot.ai.providers.selection import KeyFile, Providers
from orbitbot.ai.settings import ProviderSettings
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


async def test_the_check_tells_provider_reason_and_last_error(path: Path) -> None:
    providers = Providers(ProviderSettings(default_model="m/1", api_key_file=str(path)))
    assert await providers.describe() == "offline: no provider key"
    enter(path, "sk-secret")
    assert await providers.describe() == "openai_compatible: https://openrouter.ai/api/v1, model m/1"
    providers.note_failure(ProviderError("rate limited (429)"), "padaria")
    failing = await providers.describe()
    assert "rate limited (429); the FAQ answers meanwhile" in failing
    assert "sk-secret" not in failing
    providers.note_success()
    assert (await providers.describe()).endswith("rate limited (429); it has answered since")
    await providers.close()


async def test_an_unreachable_service_falls_back(path: Path) -> None:
    enter(path, "sk-1")
    settings = ProviderSettings(
        default_model="m/1", api_key_file=str(path), base_url="http://127.0.0.1:9/v1", max_retries=0
    )
    providers = Providers(settings)
    client = Profile("padaria", "1", "Padaria", "pt", "UTC", "", ClientSettings(no_answer_text="Não sei!"))
    answer = await providers.answer(Question(client, "oi"))
    assert (answer.text, answer.source, answer.model) == ("Não sei!", "no_answer", "offline")
    assert answer.provider_ms > 0
    assert "cannot connect (ConnectError)" in await providers.describe()
    await providers.close()
