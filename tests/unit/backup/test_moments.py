"""Which moments may be asked for, in the program and in the playbook."""

import pytest
from orbitbot_backup.errors import BackupError
from orbitbot_backup.recovering import Moment, read_moment

from tests.ansible.conftest import load_plugin


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("latest", Moment("latest")),
        ("2026-11-22 10:00", Moment("time", "2026-11-22 10:00:00+00:00")),
        ("2026-11-22T10:00:30Z", Moment("time", "2026-11-22 10:00:30+00:00")),
        ("2026-11-22 10:00:30.25", Moment("time", "2026-11-22 10:00:30.250000+00:00")),
        ("2026-11-22 10:00-03", Moment("time", "2026-11-22 13:00:00+00:00")),
        ("2026-11-22 10:00 -03:30", Moment("time", "2026-11-22 13:30:00+00:00")),
    ],
)
def test_a_moment(text: str, moment: Moment) -> None:
    assert read_moment(text) == moment
    assert load_plugin("plugins/filter/restore.py").restore_problem(text, "") == ""


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-11-22", "10:00", "2026-02-30 10:00", "2026-11-22 25:00"]
)
def test_no_moment(text: str) -> None:
    with pytest.raises(BackupError, match=r"^to: .*allowed: latest, dump"):
        read_moment(text)
    assert load_plugin("plugins/filter/restore.py").restore_problem(text, "").startswith("to: ")


def test_a_lost_host() -> None:
    problem = load_plugin("plugins/filter/restore.py").lost_host_problem
    assert problem("bots-1", "bots-2", "yes", ["bots-1", "bots-2"]) == ""
    assert problem("bots-1", "bots-2", "no", ["bots-2"]).startswith("old_host_is_dead: must be yes")
    assert problem("bots-1", "bots-1", "yes", ["bots-1", "bots-2"]).endswith("allowed: bots-2")
    assert (
        load_plugin("plugins/filter/restore.py").restore_problem("latest", "bots-1").startswith("to: is for")
    )
