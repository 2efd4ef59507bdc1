"""`speech.toml`: what it may say, and what stops the service at once."""

from pathlib import Path

import pytest

from orbitbot.foundation.errors import SettingsError
from orbitbot.foundation.settings import load_settings
from orbitbot.speech.settings import SpeechSettings

LEAST = """
verify_key_file = "/etc/orbitbot/verify-key.pem"
{top}
[listen]
port = 3002
{listen}
[models]
medium = "/var/lib/orbitbot/models/medium"
{models}
"""


def settings(tmp_path: Path, top: str = "", listen: str = "", models: str = "") -> SpeechSettings:
    file = tmp_path / "speech.toml"
    file.write_text(LEAST.format(top=top, listen=listen, models=models))
    return load_settings(file, SpeechSettings)


def test_the_least_file_gets_the_documented_defaults(tmp_path: Path) -> None:
    given = settings(tmp_path)

    assert given.models == {"medium": "/var/lib/orbitbot/models/medium"}
    assert (given.default_model, given.device, given.compute_type) == ("medium", "auto", "auto")
    assert (given.queue_limit, given.max_seconds, given.max_bytes) == (32, 600.0, 16_000_000)
    assert given.listen.workers == 1


def test_everything_may_be_set(tmp_path: Path) -> None:
    given = settings(
        tmp_path,
        top='default_model = "small"\ndevice = "cuda"\ncompute_type = "int8_float16"\nnum_workers = 3\n'
        "cpu_threads = 4\ndecoders = 1\nqueue_limit = 8\nmax_seconds = 120\nmax_bytes = 5000000",
        models='small = "/models/small"',
    )

    assert (given.default_model, given.models["small"]) == ("small", "/models/small")
    assert (given.num_workers, given.cpu_threads, given.decoders, given.queue_limit) == (3, 4, 1, 8)
    assert given.max_seconds == 120


@pytest.mark.parametrize(
    ("top", "named"),
    [
        ('default_model = "large"', "default_model 'large' is not in [models] (medium)"),
        ('device = "gpu"', "$.device"),
        ('compute_type = "int4"', "$.compute_type"),
        ("queue_limit = 0", "$.queue_limit"),
        ("num_workers = -1", "$.num_workers"),
        ('preload = ["large"]', "preload: 'large' is not in [models] (medium)"),
        ('mirror = "ftp://models.example"', "mirror must be an http:// or https:// address"),
        ("keep_seconds = 0.0", "$.keep_seconds"),
        ("cpu_threads = -1", "$.cpu_threads"),
        ("max_seconds = 0.0", "$.max_seconds"),
        ("queue_limits = 3", "queue_limits"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, top: str, named: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings(tmp_path, top=top)

    assert "speech.toml" in caught.value.detail
    assert named in caught.value.detail


def test_a_second_worker_would_load_the_models_twice(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="workers must be 1"):
        settings(tmp_path, listen="workers = 2")
