"""Runs the commands of every runbook page against the deployment, and compares what they print."""

from pathlib import Path

import pytest

from tests.acceptance.deployment import Client, Deployment
from tests.ansible.test_runbooks import PAGES
from tests.support import runbook


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_the_commands_of_a_page_do_what_it_says(page: Path, deployment: Deployment, client: Client) -> None:
    ran = 0
    for command in runbook.commands(page):
        if command.not_run:
            print(f"{command.where}: not run: {command.not_run}: {command.text}")
        else:
            runbook.run(command)
            ran += 1
    assert ran > 0
    deployment.wait_ready()
