"""Which control groups are the caller's own, on the layouts that Debian machines have."""

from pathlib import Path

from tests.hosts.cgroups import create, own_groups, remove

SEPARATE = """\
cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0
cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,nosuid,cpu,cpuacct 0 0
cgroup /sys/fs/cgroup/systemd cgroup rw,relatime,name=systemd 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0
/dev/vda / ext4 rw 0 0
"""


def test_every_mounted_hierarchy_counts() -> None:
    memberships = "9:name=systemd:/\n4:memory:/jobs/7\n3:cpu,cpuacct:/jobs\n2:pids:/\n0::/a:b\n"
    assert own_groups(memberships, SEPARATE) == [
        Path("/sys/fs/cgroup/systemd"),
        Path("/sys/fs/cgroup/memory/jobs/7"),
        Path("/sys/fs/cgroup/cpu,cpuacct/jobs"),
        Path("/sys/fs/cgroup/unified/a:b"),
    ]


def test_the_unified_layout_has_one() -> None:
    assert own_groups("0::/user.slice\n", "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n") == [
        Path("/sys/fs/cgroup/user.slice")
    ]


def test_a_version_1_cpu_set_is_passed_down(tmp_path: Path) -> None:
    parent, group = tmp_path / "fleets", tmp_path / "fleets" / "host"
    group.mkdir(parents=True)
    for folder in (tmp_path, parent, group):
        (folder / "cpuset.cpus").write_text("")
        (folder / "cpuset.mems").write_text("")
    (tmp_path / "cpuset.cpus").write_text("0-1\n")
    (tmp_path / "cpuset.mems").write_text("0\n")
    assert create([parent], "host") == [group]
    assert (group / "cpuset.cpus").read_text() == "0-1\n"
    assert (group / "cpuset.mems").read_text() == "0\n"


def test_removal_takes_what_is_below_and_an_empty_parent(tmp_path: Path) -> None:
    parent = tmp_path / "fleets"
    (parent / "first" / "payload" / "system.slice").mkdir(parents=True)
    (parent / "second").mkdir()
    remove([parent], "first")
    assert [folder.name for folder in parent.iterdir()] == ["second"]
    remove([parent], "second")
    assert not parent.exists()
    remove([parent], "second")


def test_hosts_together_have_a_share_of_the_processor_each(tmp_path: Path) -> None:
    parent = tmp_path / "fleets"
    (parent / "first").mkdir(parents=True)
    (parent / "cpu.shares").write_text("1024\n")
    create([parent], "second")
    assert (parent / "cpu.shares").read_text() == "2048"
    remove([parent], "first")
    assert (parent / "cpu.shares").read_text() == "1024"
