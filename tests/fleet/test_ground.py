"""Hardening, firewall and mesh together: run again, looked at only, rebooted, taken away."""

import pytest

from tests.fleet.ground import CACHE, MESH, UNDECLARED, Ground
from tests.hosts.processes import wait_until

pytestmark = [pytest.mark.fleet, pytest.mark.long]


def test_a_second_run_changes_nothing(ground: Ground) -> None:
    assert ground.play().require_success().changed == 0


def test_check_mode_finds_nothing_to_change(ground: Ground) -> None:
    assert ground.play("--check", "--diff").require_success().changed == 0


def test_no_unit_has_failed(ground: Ground) -> None:
    for host in "abc":
        assert ground.fleet.ssh(host, "systemctl --failed --no-legend") == ""


def test_everything_is_back_after_a_reboot(ground: Ground) -> None:
    """Firewall, the bots' users in it, the mesh; and the next run finds nothing to do."""
    fleet = ground.fleet
    machine = fleet.machine(fleet.plan.host("c"))
    fleet.ssh("c", "useradd --system bot-acme")
    ground.module("c", "firewall_users").require_success()
    before, life = fleet.ssh("c", "nft --stateless list table inet orbitbot"), machine.init()
    assert "elements" in before
    fleet.ssh("c", "systemctl reboot")
    wait_until(lambda: not life.alive, "the end of c's first life", 60)
    assert fleet.wait("c") == "running"
    ground.listen("c")
    assert fleet.ssh("c", "nft --stateless list table inet orbitbot") == before
    wait_until(lambda: ground.connects("c", MESH["b"], CACHE), "c in the mesh", 30)
    assert not ground.connects("c", MESH["b"], CACHE, "bot-acme")
    assert ground.play().require_success().changed == 0
    fleet.ssh("c", "userdel bot-acme")
    ground.module("c", "firewall_users").require_success()


def test_what_was_made_is_taken_away_and_made_again(ground: Ground) -> None:
    """Last in the file: it takes the longest way back."""
    key = ground.fleet.ssh("b", "cat /etc/wireguard/mesh0.key")
    assert not ground.open_ports("b", [CACHE, UNDECLARED])
    assert ground.play(ground_tasks="remove").require_success().changed > 0
    assert ground.open_ports("b", [CACHE, UNDECLARED]) == {CACHE, UNDECLARED}
    left = (
        "ls /etc/nftables.d /etc/ssh/sshd_config.d; nft list tables; grep -c mesh /etc/hosts /proc/net/dev; "
    )
    assert ground.fleet.ssh("b", f"{left} nft --check --file /etc/nftables.conf").split() == [
        "/etc/nftables.d:",
        "/etc/ssh/sshd_config.d:",
        "/etc/hosts:0",
        "/proc/net/dev:0",
    ]
    assert ground.play(ground_tasks="remove").require_success().changed == 0
    ground.play().require_success()
    assert ground.fleet.ssh("b", "cat /etc/wireguard/mesh0.key") == key
    assert not ground.open_ports("b", [CACHE, UNDECLARED])
