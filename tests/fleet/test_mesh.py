"""The mesh between real hosts: who is in it, who leaves, who comes back."""

import subprocess
from itertools import permutations

import pytest

from tests.fleet.ground import MESH, Ground
from tests.hosts.command import HostsError
from tests.hosts.processes import wait_until

pytestmark = [pytest.mark.fleet, pytest.mark.long]


def reaches(ground: Ground, sender: str, receiver: str) -> bool:
    """Whether an echo request inside the mesh is answered."""
    try:
        ground.fleet.execute(sender, ["ping", "-c", "1", "-W", "1", f"{receiver}.mesh"])
    except HostsError:
        return False
    return True


def public_key(ground: Ground, host: str) -> str:
    return ground.fleet.ssh(host, "wg show mesh0 public-key").strip()


def peers(ground: Ground, host: str) -> set[str]:
    return set(ground.fleet.ssh(host, "wg show mesh0 peers").split())


def test_every_host_reaches_every_other(ground: Ground) -> None:
    for sender, receiver in permutations("abc", 2):
        assert reaches(ground, sender, receiver), f"{sender} does not reach {receiver}"


def test_a_private_key_stays_on_its_host(ground: Ground) -> None:
    keys = {host: ground.fleet.ssh(host, "cat /etc/wireguard/mesh0.key").strip() for host in "abc"}
    assert len(set(keys.values())) == 3
    listing = "stat -c '%a %U' /etc/wireguard/mesh0.key /etc/wireguard/mesh0.conf"
    shown = ground.play("--diff", "--check", "-vvv", role="mesh", mesh_mtu=1400).require_success().output
    assert "MTU = 1400" in shown
    for host, key in keys.items():
        assert ground.fleet.ssh(host, listing) == "600 root\n600 root\n"
        assert key not in shown
        for other in set("abc") - {host}:
            search = (
                f"grep --recursive --fixed-strings --quiet -e '{key}' /etc /root /var/lib/orbitbot; echo $?"
            )
            assert ground.fleet.ssh(other, search) == "1\n"


def test_a_host_leaves_and_comes_back_while_the_others_talk(ground: Ground) -> None:
    gone = public_key(ground, "c")
    assert gone in peers(ground, "a")
    endless = ground.fleet.ssh_command(
        "a", "ping -q -i 0.2 -W 2 b.mesh & sleep 0; read -r _; kill -INT $!; wait $!"
    )
    with subprocess.Popen(endless, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as talk:
        ground.play(hosts="ab", role="mesh").require_success()
        assert {gone} & (peers(ground, "a") | peers(ground, "b")) == set()
        assert not reaches(ground, "c", "a")
        ground.play(role="mesh").require_success()
        words, _ = talk.communicate("\n", timeout=20)
    assert " 0% packet loss" in words, words
    assert gone in peers(ground, "a")
    wait_until(lambda: reaches(ground, "c", "a"), "c in the mesh", 30)


def test_a_host_that_cannot_be_reached_keeps_its_place(ground: Ground) -> None:
    before = peers(ground, "a")
    ground.fleet.partition("c")
    try:
        run = ground.play(role="mesh")
    finally:
        ground.fleet.heal()
    assert run.status != 0
    assert "unreachable=1" in run.output
    assert "the mesh leaves out" not in run.output
    assert peers(ground, "a") == before
    wait_until(lambda: reaches(ground, "c", "a"), "c in the mesh", 30)


def test_an_interface_that_is_gone_comes_back(ground: Ground) -> None:
    ground.fleet.ssh("b", "ip link delete mesh0")
    run = ground.play("--limit", "b", role="mesh").require_success()
    assert run.changed == 1
    wait_until(lambda: reaches(ground, "a", "b"), "b in the mesh", 30)


def test_wrong_addresses_are_named_before_anything_changes(ground: Ground) -> None:
    run = ground.play("--limit", "a", role="mesh", mesh_addresses=MESH | {"b": MESH["a"]})
    assert run.status != 0
    assert "mesh_addresses: 10.66.0.1 is given to a and b" in " ".join(run.output.split())
    assert run.changed == 0
