"""Baked layers: hosts that come with packages, and nothing else in common."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet.conftest import fleet_name
from tests.hosts.command import HostsError
from tests.hosts.fleet import Fleet
from tests.hosts.images import LayerRecipe, base_recipe
from tests.hosts.launch import launch, layers, remove
from tests.hosts.machine import IDENTITY
from tests.hosts.plan import FleetRequest, HostRequest
from tests.hosts.store import Store

pytestmark = [pytest.mark.fleet, pytest.mark.long]

WANTED = FleetRequest(
    name=fleet_name("baked"), hosts=(HostRequest("a"), HostRequest("b")), packages=("redis-server",)
)


@pytest.fixture
def fresh_layer(store: Store) -> Iterator[Path]:
    """Where the layer will lie; it is baked anew."""
    remove(store, WANTED.name)
    folder = store.images / LayerRecipe.of(base_recipe(), WANTED.packages).name
    _delete(folder)
    yield folder
    remove(store, WANTED.name)
    _delete(folder)


def _delete(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    folder.with_name(f"{folder.name}.tar.zst").unlink(missing_ok=True)


def test_hosts_on_a_baked_layer_have_its_services_and_their_own_identity(
    store: Store, fresh_layer: Path
) -> None:
    fleet = launch(WANTED, store)
    assert fleet.plan.layers[0] == fresh_layer
    assert [path for path in IDENTITY if (fresh_layer / path).exists()] == []
    for host in "ab":
        assert fleet.ssh(host, "systemctl is-active redis-server; redis-cli ping") == "active\nPONG\n"
    for command in ("cat /etc/machine-id", "cat /etc/ssh/ssh_host_ed25519_key.pub", "hostname"):
        assert len({fleet.ssh(host, command) for host in "ab"}) == 2, command
    assert [plan.name for plan in store.plans() if plan.name.startswith("bake-")] == []
    fleet.remove()

    shutil.rmtree(fresh_layer)
    again = launch(WANTED, store)  # from the archive
    assert isinstance(again, Fleet)
    assert again.ssh("a", "redis-cli ping") == "PONG\n"


def test_a_package_that_does_not_exist_is_named(store: Store) -> None:
    wanted = FleetRequest(name="none", hosts=(HostRequest("a"),), packages=("no-such-package-anywhere",))
    with pytest.raises(HostsError, match="Unable to locate package no-such-package-anywhere"):
        layers(store, wanted)
    assert [plan.name for plan in store.plans() if plan.name.startswith("bake-")] == []
