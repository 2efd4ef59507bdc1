"""Deploy, failed deploy and rollback where one host serves everything: nobody takes over for it meanwhile."""

import pytest

from tests.fleet.site import Site
from tests.fleet.test_deploy import (
    GATEWAY,
    Project,
    current,
    deploy,
    load,
    make_project,
    settled,
    spoilt,
    words,
)
from tests.hosts.processes import wait_until

pytestmark = [pytest.mark.fleet, pytest.mark.faults, pytest.mark.timeout(2400)]

HOST, REPOSITORY = "everything-1", "backup-1"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project of this module's releases."""
    return make_project(tmp_path_factory.mktemp("project"))


def test_no_request_fails_and_no_message_is_lost_while_the_one_host_changes(
    alone: Site, project: Project
) -> None:
    """The host that is there for backups alone has the release that serves, for its restore drill."""
    old = current(alone, HOST)
    with load(alone):
        deploy(alone, project, project.version("alone", GATEWAY)).require_success()
        new = current(alone, HOST)
        assert new != old
        assert current(alone, REPOSITORY) == new
        with spoilt(alone, HOST):
            failed = deploy(alone, project, project.version("spoilt", GATEWAY))
        assert failed.status != 0
        assert f"{HOST} did not come up with release" in words(failed), failed.output
        assert (current(alone, HOST), current(alone, REPOSITORY)) == (new, new)
        alone.play("rollback").require_success()
        assert (current(alone, HOST), current(alone, REPOSITORY)) == (old, old)
    wait_until(lambda: settled(alone, HOST), "one slot of each service", 60)
    alone.play("site").require_success().require_changes(0)
