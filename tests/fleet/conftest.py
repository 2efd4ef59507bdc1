"""Fleets for the tests on real hosts. Where they cannot run, every test fails and says what is missing."""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fleet.ground import Ground
from tests.fleet.site import HOSTS, KEEP, PACKAGES, Site
from tests.hosts import doctor
from tests.hosts.fleet import Fleet
from tests.hosts.launch import launch, remove
from tests.hosts.plan import FleetRequest, HostRequest
from tests.hosts.store import Store

_CHECKOUT = hashlib.sha256(str(Path(__file__).parent).encode()).hexdigest()[:6]


def fleet_name(purpose: str) -> str:
    """A fleet's name that is this working copy's own, so that leftovers of a killed run are recognised."""
    return f"{purpose}-{_CHECKOUT}"


@pytest.fixture(scope="session")
def store() -> Store:
    """The user's store (building the images takes a minute), on a machine that can run test hosts."""
    store = Store()
    lacking = [f"{finding.what}: {finding.remedy}" for finding in doctor.examine(store) if finding.remedy]
    if lacking:
        pytest.fail("this machine cannot run test hosts:\n" + "\n".join(lacking), pytrace=False)
    return store


@pytest.fixture
def make_fleet(store: Store) -> Iterator[Callable[..., Fleet]]:
    """Create fleets that are removed after the test: `make_fleet("purpose", "host", "host")`."""
    made = []

    def make(purpose: str, *hosts: str) -> Fleet:
        name = fleet_name(purpose)
        remove(store, name)
        made.append(name)
        return launch(FleetRequest(name=name, hosts=tuple(map(HostRequest, hosts))), store)

    yield make
    for name in made:
        remove(store, name)


@pytest.fixture(scope="module")
def fleet(store: Store) -> Iterator[Fleet]:
    """Three plain hosts a, b and c, shared by a module's tests; each leaves them running and healed."""
    name = fleet_name("shared")
    remove(store, name)
    fleet = launch(FleetRequest(name=name, hosts=tuple(map(HostRequest, "abc"))), store)
    try:
        yield fleet
    finally:
        remove(store, name)


@pytest.fixture(scope="session")
def ground(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Three hosts with hardening, firewall and mesh; each test leaves them as it found them."""
    name = fleet_name("ground")
    remove(store, name)
    fleet = launch(FleetRequest(name=name, hosts=tuple(map(HostRequest, "abc"))), store)
    try:
        ground = Ground(fleet, tmp_path_factory.mktemp("ground"))
        ground.prepare()
        yield ground
    finally:
        remove(store, name)


@pytest.fixture(scope="session")
def site(store: Store) -> Iterator[Site]:
    """Six hosts that `site.yml` made a fleet of, with two clients; each test leaves it as it found it.

    ORBITBOT_KEEP_FLEET=1 keeps the fleet after the tests, and takes the one that was kept.
    """
    name = fleet_name("site")
    keep = os.environ.get(KEEP) == "1"
    if not (keep and name in {plan.name for plan in store.plans()}):
        remove(store, name)
        launch(FleetRequest(name=name, hosts=HOSTS, packages=PACKAGES), store)
    try:
        made = Site(Fleet.load(store, name))
        made.prepare()
        yield made
    finally:
        if not keep:
            remove(store, name)
