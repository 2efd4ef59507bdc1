"""Fleets for the tests on real hosts. Where they cannot run, every test fails and says what is missing.

Making a fleet with `site.yml` takes minutes, so all tests share one: the fixture `site` gives it
(tests/fleet/site.py says what is on which host). Whoever adds a test to it:

    pytestmark = [pytest.mark.fleet, pytest.mark.timeout(1800)]     # the first test of all makes the fleet

    def test_something(site: Site) -> None:
        site.play("some-playbook", client="padaria").require_success()
        assert site.say("padaria", "Bom dia")                       # asked at the bot, as a contact
        with site.api() as api:                                     # over HTTPS, as the operator
            assert api.http.get(…)
        site.fleet.ssh("database-1", "…")                           # as root

* leaves it as found, also when it fails: hosts up, networks healed, the same release on all hosts, the
  clients `padaria` and `clinica` running on their hosts. After each module this is looked at (`Site.state`);
  what a test changes beside it, it puts back itself. Clients of its own it removes with `remove-client
  -e purge=yes`.
* gives other variables to all playbooks by a file of its own, `site.inventory /
  "group_vars/all/zzz-NAME.yml"`, removed in the end and followed by a run of `site.yml`, which brings the
  hosts back.
* is short: every second counts in `make test`, on two cores beside all other tests. What takes longer
  than a minute, or needs a fleet of its own, carries the marker `long` (make test-fleet runs it, too), and
  long random faults carry `faults` (make test-faults).

While writing tests: ORBITBOT_KEEP_FLEET=1 keeps the fleet after them, and the next run takes it and brings
it to the checkout's release by `site.yml`. `python -m tests.hosts list` shows it, `… down NAME` removes it.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fleet.ground import Ground
from tests.fleet.site import ALONE, HOSTS, KEEP, PACKAGES, Site
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


@contextmanager
def lasting_site(
    store: Store, purpose: str, hosts: Sequence[HostRequest], *, keep: bool
) -> Iterator[tuple[Site, bool]]:
    """A fleet of packaged hosts, bare where it was not kept, and whether it was.

    Args:
        keep: takes the fleet that is there, and leaves it in any case.
    """
    name = fleet_name(purpose)
    kept = keep and name in {plan.name for plan in store.plans()}
    if not kept:
        remove(store, name)
        launch(FleetRequest(name=name, hosts=tuple(hosts), packages=PACKAGES), store)
    try:
        yield Site(Fleet.load(store, name)), kept
    finally:
        if not keep:
            remove(store, name)


def is_kept() -> bool:
    """Whether whoever runs the tests keeps their fleets."""
    return os.environ.get(KEEP) == "1"


@pytest.fixture(scope="session")
def made_site(store: Store) -> Iterator[tuple[Site, dict[str, object]]]:
    """What `site` gives to each module, and the state in which it was made."""
    with lasting_site(store, "site", HOSTS, keep=is_kept()) as (made, _):
        made.prepare()
        yield made, made.state()


@pytest.fixture(scope="session")
def alone(store: Store) -> Iterator[Site]:
    """One host that serves everything, with a client, and one that is there for backups alone.

    ORBITBOT_KEEP_FLEET=1 takes a kept fleet, and keeps it.
    """
    with lasting_site(store, "alone", ALONE, keep=is_kept()) as (made, _):
        made.play("site").require_success()
        made.add_clients()
        yield made


@pytest.fixture(scope="module")
def site(made_site: tuple[Site, dict[str, object]]) -> Iterator[Site]:
    """The one fleet of a whole run of tests; the module's text says how to use it."""
    made, state = made_site
    yield made
    assert made.state() == state, "the tests of this module left the fleet otherwise than they found it"
