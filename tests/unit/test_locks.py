"""The lock files: hashed, of one mind, and in step with `pyproject.toml`."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
KINDS = ["control", "application", "bot", "speech"]


def pins(kind: str) -> dict[tuple[str, str], str]:
    """(name, marker) → version of every requirement; each must have at least one hash."""
    found = {}
    for block in re.split(r"\n(?=\S)", (ROOT / f"locks/{kind}.txt").read_text()):
        line = block.split("\\\n")[0].strip()
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), f"{kind}: {line} has no hash"
        requirement = Requirement(line)
        (specifier,) = requirement.specifier
        assert specifier.operator == "==", line
        found[canonicalize_name(requirement.name), str(requirement.marker or "")] = specifier.version
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_has_one_version_everywhere(kind: str) -> None:
    everything = {}
    for (name, _), version in pins("control").items():
        everything.setdefault(name, set()).add(version)
    for (name, _), version in pins(kind).items():
        assert version in everything.get(name, set()), f"{kind}: {name}=={version}; run `make lock`"


@pytest.mark.parametrize("kind", ["application", "bot", "speech"])
def test_every_direct_dependency_is_locked_at_a_version_it_allows(kind: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locked = {name: version for (name, _), version in pins(kind).items()}
    for text in project["dependencies"] + project["optional-dependencies"][kind]:
        requirement = Requirement(text)
        name = canonicalize_name(requirement.name)
        assert requirement.specifier.contains(locked[name]), (
            f"{text}: locked at {locked[name]}; run `make lock`"
        )


def test_locks_name_no_index() -> None:
    for file in (ROOT / "locks").iterdir():
        assert "://" not in file.read_text(), file


def test_the_gpu_kind_is_the_speech_kind_and_nvidias_libraries() -> None:
    speech, gpu = pins("speech"), pins("speech-gpu")

    assert {key: version for key, version in gpu.items() if not key[0].startswith("nvidia-")} == speech
    libraries = {name: version for (name, _), version in gpu.items() if name.startswith("nvidia-")}
    assert libraries["nvidia-cublas-cu12"].startswith("12.")  # what CTranslate2 4 asks for by name
    assert libraries["nvidia-cudnn-cu12"].startswith("9.")
