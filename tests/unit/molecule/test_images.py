"""Recipes' names, and how an image gets into the store."""

from pathlib import Path

import msgspec
import pytest

from tests.hosts.images import BaseRecipe, Images, LayerRecipe
from tests.hosts.plan import FleetRequest, HostRequest, plan_fleet
from tests.hosts.store import Store

BASE = BaseRecipe("bookworm")


@pytest.mark.parametrize(
    "change",
    [
        {"release": "trixie"},
        {"packages": ("systemd",)},
        {"architecture": "riscv64"},
        {"scripts": ("", "")},
        {"format": 99},
    ],
)
def test_anything_in_the_recipe_changes_the_images_name(change: dict[str, object]) -> None:
    assert msgspec.structs.replace(BASE, **change).name != BASE.name


def test_the_same_recipe_has_the_same_name() -> None:
    assert BaseRecipe("bookworm").name == BASE.name
    assert LayerRecipe.of(BASE, ["b", "a", "b"]).name == LayerRecipe.of(BASE, ["a", "b"]).name


def test_a_layer_changes_with_its_packages_and_its_base() -> None:
    layer = LayerRecipe.of(BASE, ["nginx"])
    assert layer.name != LayerRecipe.of(BASE, ["nginx", "redis-server"]).name
    assert layer.name != LayerRecipe.of(BaseRecipe("trixie"), ["nginx"]).name


def write(folder: Path) -> None:
    folder.mkdir()
    (folder / "made").write_text("once")


def refuse(folder: Path) -> None:
    raise AssertionError("built again")


def test_an_image_is_built_once(tmp_path: Path) -> None:
    images = Images(Store(tmp_path))
    first = images.get("image", write)
    assert images.get("image", refuse) == first
    assert (first / "made").read_text() == "once"


def test_an_image_comes_back_from_its_archive(tmp_path: Path) -> None:
    images = Images(Store(tmp_path))
    folder = images.get("image", write)
    (folder / "made").unlink()
    folder.rmdir()
    assert (images.get("image", refuse) / "made").read_text() == "once"


def test_a_broken_build_is_not_taken_for_an_image(tmp_path: Path) -> None:
    images = Images(Store(tmp_path))

    def half(folder: Path) -> None:
        write(folder)
        raise RuntimeError("mirror gone")

    with pytest.raises(RuntimeError, match="mirror gone"):
        images.get("image", half)
    assert (images.get("image", write) / "made").read_text() == "once"


def test_only_unused_images_are_pruned(tmp_path: Path) -> None:
    store = Store(tmp_path)
    images = Images(store)
    used = images.get("used", write)
    images.get("unused", write)
    wanted = FleetRequest(name="demo", hosts=(HostRequest("one"),))
    store.save(plan_fleet(wanted, used_prefixes=[], used_networks=[], layers=(used,)))
    assert images.remove_unused() == ["unused"]
    assert sorted(path.name for path in store.images.iterdir()) == ["used", "used.tar.zst"]
