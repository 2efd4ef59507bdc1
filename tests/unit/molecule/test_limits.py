"""What the hosts' launcher raises of this machine's limits."""

from pathlib import Path

from tests.hosts.limits import INOTIFY_INSTANCES, raise_limits


def test_a_low_limit_is_raised_and_a_higher_one_stays(tmp_path: Path) -> None:
    file = tmp_path / "max_user_instances"
    file.write_text("128\n")
    assert raise_limits(file)
    assert int(file.read_text()) == INOTIFY_INSTANCES
    assert not raise_limits(file)
    file.write_text("100000\n")
    assert not raise_limits(file)
    assert file.read_text() == "100000\n"
