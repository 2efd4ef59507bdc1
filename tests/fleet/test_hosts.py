"""The launcher's hosts behave as hosts: systemd, SSH, network, limits, power."""

import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.hosts.command import HostsError
from tests.hosts.fleet import Fleet
from tests.hosts.processes import wait_until

pytestmark = [pytest.mark.fleet, pytest.mark.long]

HOG = "python3 -c \"len(b'x' * (100 << 20))\""  # bytes: 100 MiB, all of them written
LISTEN = (
    "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', 9999)); "
    "s.settimeout(4); print('ready', flush=True); print(s.recv(9).decode())"
)
SEND = (
    "import socket, sys, time; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
    "for _ in range(20): s.sendto(b'arrived', (sys.argv[1], 9999)); time.sleep(0.1)"
)


@pytest.fixture(autouse=True)
def _healed(fleet: Fleet) -> Iterator[None]:
    yield
    fleet.heal()


def address(fleet: Fleet, name: str) -> str:
    return fleet.plan.host(name).address


def reaches(fleet: Fleet, sender: str, receiver: str) -> bool:
    """Whether an echo request of `sender` is answered by `receiver`."""
    try:
        fleet.execute(sender, ["ping", "-c", "1", "-W", "1", address(fleet, receiver)])
    except HostsError:
        return False
    return True


def datagram_arrives(fleet: Fleet, sender: str, receiver: str) -> bool:
    """Whether one of twenty UDP datagrams that `sender` sends arrives at `receiver`."""
    init = fleet.machine(fleet.plan.host(receiver)).init()
    listen = ["nsenter", "--target", str(init.pid), "--all", "--", "python3", "-c", LISTEN]
    with subprocess.Popen(listen, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as listener:
        assert listener.stdout is not None
        assert listener.stdout.readline() == "ready\n"
        fleet.execute(sender, ["python3", "-c", SEND, address(fleet, receiver)])
        return listener.communicate()[0] == "arrived\n"


def test_systemd_is_up_on_every_host(fleet: Fleet) -> None:
    for host in "abc":
        assert fleet.ssh(host, "systemctl is-system-running; cat /proc/1/comm; hostname") == (
            f"running\nsystemd\n{host}\n"
        )
        assert fleet.status(host) == "running"


def test_hosts_are_told_apart(fleet: Fleet) -> None:
    for command in (
        "cat /etc/machine-id",
        "cat /etc/ssh/ssh_host_ed25519_key.pub",
        "readlink /proc/self/ns/net",
    ):
        assert len({fleet.ssh(host, command) for host in "abc"}) == 3, command


def test_a_host_does_not_see_the_others_units(fleet: Fleet) -> None:
    fleet.ssh("a", "systemd-run --unit=only-here sleep infinity")
    try:
        assert "only-here" in fleet.ssh("a", "systemctl list-units; systemd-cgls")
        assert "only-here" not in fleet.ssh("b", "systemctl list-units --all; systemd-cgls")
    finally:
        fleet.ssh("a", "systemctl stop only-here")


def test_hosts_have_addresses_and_reach_each_other(fleet: Fleet) -> None:
    for host in "abc":
        assert f"inet {address(fleet, host)}/24" in fleet.ssh(host, "ip -4 address show host0")
    assert reaches(fleet, "a", "b")
    assert reaches(fleet, "c", "a")


def test_what_leaves_the_bridge_is_refused_at_once(fleet: Fleet) -> None:
    attempt = "import socket; socket.create_connection(('198.51.100.1', 80), timeout=20)"
    with pytest.raises(HostsError, match="Network is unreachable"):
        fleet.execute("a", ["python3", "-c", attempt])


def test_packages_come_through_the_cache(fleet: Fleet) -> None:
    install = (
        "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends"
    )
    fleet.ssh("a", f"{install} tree >/dev/null 2>&1 && tree --version", timeout=120)
    with pytest.raises(HostsError):
        fleet.ssh("b", "tree --version")


def test_a_memory_limit_is_kept(fleet: Fleet) -> None:
    fleet.ssh("a", f"systemd-run --wait --quiet {HOG}")
    with pytest.raises(HostsError):
        fleet.ssh("a", f"systemd-run --wait --quiet --unit=hog -p MemoryMax=30M -p MemorySwapMax=0 {HOG}")
    assert fleet.ssh("a", "systemctl show -P ExecMainStatus hog; systemctl reset-failed hog") == "9\n"
    assert fleet.status("a") == "running"


def test_a_task_limit_is_kept(fleet: Fleet) -> None:
    many = 'sh -c "for n in 1 2 3 4 5 6 7 8 9; do sleep 0.2 & done; wait"'
    fleet.ssh("a", f"systemd-run --wait --quiet {many}")
    with pytest.raises(HostsError):
        fleet.ssh("a", f"systemd-run --wait --quiet --unit=many -p TasksMax=4 {many}")
    fleet.ssh("a", "systemctl reset-failed many")


def test_an_address_filter_is_kept(fleet: Fleet) -> None:
    ping = f"ping -c 1 -W 1 {address(fleet, 'b')}"
    fleet.ssh("a", f"systemd-run --wait --quiet {ping}")
    with pytest.raises(HostsError):
        fleet.ssh("a", f"systemd-run --wait --quiet --unit=denied -p IPAddressDeny=any {ping}")
    fleet.ssh("a", "systemctl reset-failed denied")


def test_tunnels_can_be_made(fleet: Fleet) -> None:
    assert "tun9" in fleet.ssh(
        "a", "ip tuntap add dev tun9 mode tun && ip -br link show tun9; ip link del tun9"
    )


def test_a_partitioned_host_is_alone_until_healed(fleet: Fleet) -> None:
    assert reaches(fleet, "a", "b")
    fleet.partition("b")
    assert not reaches(fleet, "a", "b")
    assert not reaches(fleet, "b", "c")
    assert reaches(fleet, "a", "c")
    assert fleet.status("b") == "unreachable"
    assert "state UP" in fleet.execute("b", ["ip", "link", "show", "host0"])
    fleet.heal()
    assert reaches(fleet, "a", "b")
    assert fleet.status("b") == "running"


def test_a_partition_can_leave_the_controller_in(fleet: Fleet) -> None:
    fleet.partition("b", keep_controller=True)
    assert not reaches(fleet, "a", "b")
    assert fleet.ssh("b", "hostname") == "b\n"


def test_a_partition_outlives_a_power_cut(fleet: Fleet) -> None:
    fleet.partition("c", keep_controller=True)
    fleet.kill("c")
    assert fleet.start("c") == "running"
    assert not reaches(fleet, "a", "c")


def test_a_cut_has_one_direction(fleet: Fleet) -> None:
    fleet.cut("a", "b")
    assert datagram_arrives(fleet, "b", "a")
    assert not datagram_arrives(fleet, "a", "b")
    assert reaches(fleet, "a", "c")
    fleet.heal()
    assert datagram_arrives(fleet, "a", "b")


def test_a_power_cut_keeps_the_disk_and_stops_at_once(fleet: Fleet) -> None:
    before = fleet.ssh("b", "cat /etc/machine-id")
    fleet.ssh("b", "systemd-run --quiet --unit=witness -p ExecStop='touch /root/stopped' sleep infinity")
    fleet.ssh("b", "echo kept > /root/data && sync /root/data")
    fleet.kill("b")
    assert fleet.status("b") == "off"
    with pytest.raises(HostsError, match="b does not run"):
        fleet.execute("b", ["true"])
    assert fleet.start("b") == "running"
    assert (
        fleet.ssh("b", "cat /root/data && test ! -e /root/stopped && cat /etc/machine-id")
        == f"kept\n{before}"
    )


def test_a_shutdown_is_in_good_order(fleet: Fleet) -> None:
    fleet.ssh("b", "systemd-run --quiet --unit=witness -p ExecStop='touch /root/stopped' sleep infinity")
    fleet.stop("b")
    assert fleet.status("b") == "off"
    fleet.stop("b")
    assert fleet.start("b") == "running"
    fleet.ssh("b", "rm /root/stopped")


def test_a_host_that_reboots_itself_comes_back(fleet: Fleet) -> None:
    machine = fleet.machine(fleet.plan.host("b"))
    before = machine.init()
    # A moment later, so that this connection is not cut by what it asks for.
    fleet.ssh("b", "systemd-run --quiet --on-active=1s --timer-property=AccuracySec=50ms systemctl reboot")
    wait_until(lambda: not before.alive, "the end of b's first life", 60)
    assert fleet.wait("b") == "running"
    assert machine.init() != before


def test_a_running_host_is_not_started_twice(fleet: Fleet) -> None:
    with pytest.raises(HostsError, match="a runs already"):
        fleet.start("a")


def test_a_stranger_on_the_hosts_address_is_noticed(fleet: Fleet) -> None:
    key = "/etc/ssh/ssh_host_ed25519_key"
    fleet.ssh("c", f"mv {key} /root/ && ssh-keygen -q -t ed25519 -N '' -f {key}")
    try:
        with pytest.raises(HostsError, match="Host key verification failed"):
            fleet.ssh("c", "true")
    finally:
        fleet.execute("c", ["mv", "/root/ssh_host_ed25519_key", key])
    assert fleet.ssh("c", "hostname") == "c\n"


def test_the_command_line_reaches_the_same_fleet(fleet: Fleet) -> None:
    def tool(*arguments: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "tests.hosts", *arguments], capture_output=True, text=True, check=True
        ).stdout

    name = fleet.plan.name
    assert f"{name}\tb\t{address(fleet, 'b')}\trunning" in tool("list").splitlines()
    assert tool("ssh", name, "b", "hostname") == "b\n"
    assert tool("exec", name, "b", "--", "hostname") == "b\n"
    tool("cut", name, "a", "b")
    assert not reaches(fleet, "a", "b")
    tool("heal", name)
    assert reaches(fleet, "a", "b")


def test_nothing_but_this_machine_reaches_the_package_cache(fleet: Fleet) -> None:
    host, _, port = fleet.plan.proxy.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=5):
        pass
    rules = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout
    assert f'iifkind != "bridge" iif != "lo" ip daddr {host} drop' in rules
