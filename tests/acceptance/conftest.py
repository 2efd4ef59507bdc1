"""Fixtures of the acceptance tests: the deployment on this machine, its first client, and a second one.

The session starts with `make up` unless this checkout's release runs here already, with its vault. With
`ORBITBOT_DEPLOYMENT=as-is` in the environment it takes what runs, whichever release that is.
"""

import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.deployment import FIRST_CLIENT, Client, Deployment, deployed_release, present_release
from tests.acceptance.watch import ProcessWatch
from tests.support.api import Api

SECOND_CLIENT = "vizinho"
SETTINGS_FILE = "templates/personalities/bakery.pt.toml"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this directory needs the deployment."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.acceptance)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="session")
def deployment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """This machine's deployment, at this checkout's release."""
    machine = Deployment()
    wanted, found = present_release(), deployed_release()
    as_is = os.environ.get("ORBITBOT_DEPLOYMENT") == "as-is"
    if not (found and as_is) and not (found == wanted and machine.answers_to_this_checkout()):
        log = tmp_path_factory.mktemp("make-up") / "output"
        capture = request.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            print(
                f"\n\nacceptance: {found or 'nothing'} is installed here; wanted: {wanted}, running, "
                f"with this checkout's vault. So: `make up` ({log})\n"
            )
        machine.make("up", log)
    machine.wait_ready()
    return machine


@pytest.fixture(scope="session")
def operator(deployment: Deployment) -> Iterator[Api]:
    """The API through nginx, as the operator."""
    with deployment.operator() as api:
        yield api


@pytest.fixture
def anonymous(deployment: Deployment) -> Iterator[Api]:
    """The API through nginx, without a token."""
    with deployment.anonymous() as api:
        yield api


@pytest.fixture(scope="session")
def client(deployment: Deployment) -> Client:
    """The client that `make up` added."""
    return Client(FIRST_CLIENT)


class Added:
    """What adding the second client left behind: its output at -vvv, and what was seen of processes."""

    def __init__(self, output: str, watch: ProcessWatch) -> None:
        self.output = output
        self.watch = watch


@pytest.fixture(scope="session")
def addition(deployment: Deployment, operator: Api) -> Iterator[Added]:
    """A second client, added at -vvv while every process's command line is watched; removed at the end."""
    directory = Path(tempfile.mkdtemp(prefix="orbitbot-acceptance-"))
    given = ("-e", f"client={SECOND_CLIENT}")
    with ProcessWatch() as watch:
        done = deployment.playbook(
            "add-client.yml", directory / "add-client", "-vvv", *given,
            "-e", "channel=simulator", "-e", f"settings_file={SETTINGS_FILE}",
        )  # fmt: skip
    try:
        yield Added(done.stdout, watch)
    finally:
        deployment.playbook("remove-client.yml", directory / "remove-client", *given, "-e", "purge=yes")


@pytest.fixture(scope="session")
def neighbour(addition: Added) -> Client:
    """The second client."""
    return Client(SECOND_CLIENT)


@pytest.fixture
def seed() -> int:
    """A new seed, printed; `ORBITBOT_SEED` repeats one."""
    chosen = int(os.environ.get("ORBITBOT_SEED") or random.SystemRandom().randrange(1_000_000))
    print(f"seed {chosen} (ORBITBOT_SEED={chosen} repeats it)")
    return chosen
