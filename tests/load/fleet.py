"""The fleet that a measure runs on."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

from tests.fleet.conftest import lasting_site
from tests.fleet.site import HOSTS, Site
from tests.hosts.store import Store
from tests.load.report import Report


def add_keep(parser: argparse.ArgumentParser) -> None:
    """The option of `measured_site`."""
    parser.add_argument("--keep", action="store_true", help="leave the fleet, and use one that is there")


@contextmanager
def measured_site(report: Report, *, keep: str = "") -> Iterator[Site]:
    """A fleet as the tests have it, made for this and removed afterwards.

    Args:
        keep: purpose of the fleet to take as it is, if it is there, and to leave in any case; `site` is the
            one that ORBITBOT_KEEP_FLEET=1 has left of the tests.
    """
    with lasting_site(Store(), keep or report.name, HOSTS, keep=bool(keep)) as (site, kept):
        if not kept:
            report.say("making the fleet …")
            site.prepare()
        report.fact("hosts", len(site.hosts))
        yield site
