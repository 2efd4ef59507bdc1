"""What the scenarios' tests share: the fleet, seen from this machine, which is outside of it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import testinfra
from testinfra.host import Host

from tests.fleet.site import Site
from tests.hosts.fleet import Fleet
from tests.hosts.store import Store


@pytest.fixture(scope="session")
def site() -> Site:
    """The scenario's fleet; Molecule created and converged it."""
    inventory = (Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "fleet").resolve(strict=True)
    return Site(Fleet.load(Store(), inventory.parent.name))


@pytest.fixture(scope="session")
def on(site: Site) -> Callable[[str], Host]:
    """A host by its name, over SSH with the fleet's own settings."""
    settings = site.fleet.files.settings
    return lambda name: testinfra.get_host(f"ssh://{name}?ssh_config={settings}&controlpersist=60")


@pytest.fixture(scope="session")
def clients(site: Site) -> dict[str, str]:
    """Client → the host of its bot; they are added now."""
    site.add_clients()
    return site.clients
