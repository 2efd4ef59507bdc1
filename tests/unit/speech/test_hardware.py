"""What a node computes on, and how much memory its models may take."""

from pathlib import Path

import pytest

from orbitbot.foundation.settings import ListenSettings
from orbitbot.speech import hardware
from orbitbot.speech.gpu import Gpu, parse
from orbitbot.speech.hardware import Hardware, find_hardware
from orbitbot.speech.settings import SpeechSettings
from orbitbot.speech.sizes import memory_for_models, model_bytes


def settings(**more: object) -> SpeechSettings:
    fields = {"verify_key_file": "k", "listen": ListenSettings(port=1), "models": {"medium": "m"}}
    return SpeechSettings(**{**fields, **more})  # type: ignore[arg-type]


def on(monkeypatch: pytest.MonkeyPatch, cores: int, gpus: int = 0) -> None:
    monkeypatch.setattr(hardware.os, "sched_getaffinity", lambda _: set(range(cores)))
    monkeypatch.setattr("ctranslate2.get_cuda_device_count", lambda: gpus)


def test_on_a_cpu_every_core_computes_a_window_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    on(monkeypatch, cores=2)

    assert find_hardware(settings()) == Hardware("cpu", "int8", 2, 1, 1, 4)


def test_many_cores_are_shared_by_two_and_two(monkeypatch: pytest.MonkeyPatch) -> None:
    on(monkeypatch, cores=16)

    found = find_hardware(settings())

    assert (found.workers, found.cpu_threads) == (8, 2)


def test_a_gpu_is_taken_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    on(monkeypatch, cores=16, gpus=1)

    found = find_hardware(settings())

    assert (found.device, found.compute_type, found.workers) == ("cuda", "float16", 2)
    assert found.encode_batch == found.decode_batch == 32


def test_the_settings_have_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    on(monkeypatch, cores=16, gpus=1)

    given = settings(device="cpu", compute_type="float32", num_workers=3, cpu_threads=4, encode_batch=2)

    assert find_hardware(given) == Hardware("cpu", "float32", 3, 4, 2, 4)


def test_what_the_drivers_tool_says() -> None:
    assert parse("NVIDIA L4, 570.86.10, 23034\nNVIDIA L4, 570.86.10, 23034\n") == Gpu(
        "NVIDIA L4", "570.86.10", 23034 * 1024**2
    )
    assert parse("") is None
    assert parse("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.") is None


def test_what_a_model_takes(tmp_path: Path) -> None:
    file = tmp_path / "model.bin"
    assert model_bytes(file, "int8") == 0
    file.write_bytes(bytes(1000))

    assert model_bytes(file, "float16") == model_bytes(file, "int8_float16") == 1300
    assert model_bytes(file, "float32") == 2600


def test_memory_for_models() -> None:
    assert memory_for_models("cuda", 100) == 80
    assert memory_for_models("cpu") > 100_000_000
