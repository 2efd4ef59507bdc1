"""Groups over hosts otherwise than one host for all (Molecule's `default`) and six hosts (`site`)."""

from collections.abc import Iterator

import pytest

from tests.fleet.conftest import fleet_name
from tests.fleet.site import PACKAGES, Site
from tests.hosts.fleet import Fleet
from tests.hosts.launch import launch, remove
from tests.hosts.plan import FleetRequest, HostRequest
from tests.hosts.store import Store
from tests.support.voices import synthesise

pytestmark = [pytest.mark.fleet, pytest.mark.long, pytest.mark.timeout(1800)]

DATA = ("database", "cache", "backup", "monitoring")
SPLITS = {
    "bots apart": {"gateway-1": ("control", "gateway", "ai", *DATA), "bots-1": ("bots", "speech")},
    "data apart": {"gateway-1": ("control", "gateway", "ai", "bots", "speech"), "database-1": DATA},
}
SCANNED = (22, 80, 443, 3000, 3001, 3002, 3010, 3011, 5432, 6379)


@pytest.fixture(params=SPLITS)
def split(store: Store, request: pytest.FixtureRequest) -> Iterator[Site]:
    """A fleet of its own with nothing of the application on it."""
    name = fleet_name("split")
    remove(store, name)
    hosts = tuple(HostRequest(host, groups) for host, groups in SPLITS[request.param].items())
    try:
        launch(FleetRequest(name=name, hosts=hosts, packages=PACKAGES), store)
        yield Site(Fleet.load(store, name))
    finally:
        remove(store, name)


def test_a_split_is_installed_answers_and_stays_as_it_is(split: Site) -> None:
    split.play("site").require_success()
    split.add_clients()
    assert split.say("padaria", "Qual o horario de funcionamento?").strip()
    assert split.say_aloud("padaria", synthesise("quero dois bolos de chocolate")).strip()
    with split.api() as api:
        assert api.say("padaria", "Bom dia", "5511955550000").response
    for host in split.hosts:
        public = {22, 80, 443} if host in split.group("gateway") else {22}
        assert split.open_ports(host, SCANNED) == public, host
    split.play("site").require_success().require_changes(0)
