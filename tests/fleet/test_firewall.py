"""The firewall: what is open, what is not, whom it keeps off what, and that it shuts no operator out."""

import time

import pytest

from tests.fleet.ground import CACHE, DATABASE, LISTENING, MESH, METADATA, UNDECLARED, Ground
from tests.hosts.processes import wait_until

pytestmark = [pytest.mark.fleet, pytest.mark.long]

PORTS = sorted(
    {22, 111, 3000, 3001, 3002, 8080, 51820} | {port for ports in LISTENING.values() for port in ports}
)
RULESET = "/etc/nftables.d/orbitbot.nft"


def table(ground: Ground, host: str) -> str:
    """The running table, without counters."""
    return ground.fleet.ssh(host, "nft --stateless list table inet orbitbot")


@pytest.mark.parametrize(("host", "expected"), [("a", {22, 80, 443}), ("b", {22}), ("c", {22})])
def test_only_declared_ports_are_open_to_the_outside(ground: Ground, host: str, expected: set[int]) -> None:
    listening = {port for port in LISTENING[host] if ground.connects(host, "127.0.0.1", port)}
    assert listening == set(LISTENING[host]), "a stand-in is missing, so that the scan would prove nothing"
    assert ground.open_ports(host, PORTS) == expected


def test_services_of_the_mesh_are_open_there_alone(ground: Ground) -> None:
    assert ground.connects("a", MESH["b"], DATABASE)
    assert ground.connects("a", MESH["b"], CACHE)
    assert not ground.connects("a", MESH["b"], UNDECLARED)
    outside = ground.fleet.plan.host("b").address
    assert not ground.connects("a", outside, DATABASE)
    assert not ground.connects("a", outside, CACHE)


def test_a_port_with_sources_is_open_to_these_alone(ground: Ground) -> None:
    assert not ground.connects("c", MESH["b"], DATABASE)
    assert ground.connects("c", MESH["b"], CACHE)


def test_a_bots_user_reaches_neither_database_nor_metadata(ground: Ground) -> None:
    ground.fleet.ssh("c", "useradd --system bot-acme")
    try:
        for target, port in ((MESH["b"], CACHE), ("127.0.0.1", DATABASE), (METADATA, 80)):
            assert ground.connects("c", target, port), "root gets there"
            assert ground.connects("c", target, port, "bot-acme"), "the firewall does not know the user yet"
        told = ground.module("c", "firewall_users").require_success()
        assert "CHANGED" in told.output
        assert "SUCCESS" in ground.module("c", "firewall_users").require_success().output
        for target, port in ((MESH["b"], CACHE), ("127.0.0.1", DATABASE), (METADATA, 80)):
            assert ground.connects("c", target, port), "root still gets there"
            assert not ground.connects("c", target, port, "bot-acme")
        assert ground.connects("c", "127.0.0.1", 80, "bot-acme"), "a bot reaches what it may"
    finally:
        ground.fleet.ssh("c", "userdel bot-acme")
        ground.module("c", "firewall_users").require_success()
    assert "elements" not in table(ground, "c")


def test_a_broken_ruleset_is_refused_before_it_is_loaded(ground: Ground) -> None:
    before = table(ground, "a"), ground.fleet.ssh("a", f"cat {RULESET}")
    run = ground.play("--limit", "a", role="firewall", firewall_log_rate="often")
    assert run.status != 0
    assert "Write the new rules” failed" in run.output
    assert "syntax error" in run.output
    assert (table(ground, "a"), ground.fleet.ssh("a", f"cat {RULESET}")) == before


def test_rules_that_shut_the_operator_out_are_rolled_back(ground: Ground) -> None:
    before = table(ground, "a")
    run = ground.play("--limit", "a", role="firewall", firewall_ssh_ports=[2222], firewall_trial_seconds=14)
    assert run.status != 0
    assert "with the new rules a took no new SSH connection, so the rules before are back" in run.output
    assert ground.can_log_in("a")
    assert table(ground, "a") == before
    ground.play("--limit", "a", role="firewall").require_success()


def test_rules_are_rolled_back_without_the_controller(ground: Ground) -> None:
    """As after a playbook that was killed in the middle of a trial."""
    before = table(ground, "a")
    ground.fleet.ssh("a", f"sed s/22/2222/ {RULESET} > /etc/nftables.d/orbitbot.candidate")
    started = time.monotonic()
    assert (
        "CHANGED" in ground.module("a", "firewall_ruleset", state="tried", seconds=8).require_success().output
    )
    assert not ground.can_log_in("a"), "the trial is not under way, so nothing can be proven"
    wait_until(lambda: ground.can_log_in("a"), "the rules from before the trial", 30)
    assert time.monotonic() - started > 8
    assert table(ground, "a") == before
    late = ground.module("a", "firewall_ruleset", state="confirmed")
    assert "the trial was over before it was confirmed" in late.output
    ground.play("--limit", "a", role="firewall").require_success()


def test_rules_that_were_flushed_by_hand_are_loaded_again(ground: Ground) -> None:
    before = table(ground, "b")
    ground.fleet.ssh("b", "nft flush ruleset")
    assert ground.open_ports("b", PORTS) > {22}
    run = ground.play("--limit", "b", role="firewall").require_success()
    assert run.changed > 0
    assert table(ground, "b") == before


def test_tables_of_others_stay(ground: Ground) -> None:
    ground.fleet.ssh("b", "nft add table inet others && nft delete table inet orbitbot")
    try:
        ground.play("--limit", "b", role="firewall").require_success()
        assert "table inet others" in ground.fleet.ssh("b", "nft list tables")
    finally:
        ground.fleet.ssh("b", "nft delete table inet others")


def test_another_firewall_stops_the_role(ground: Ground) -> None:
    ground.fleet.ssh("b", "mkdir -p /etc/ufw && echo ENABLED=yes > /etc/ufw/ufw.conf")
    try:
        run = ground.play("--limit", "b", role="firewall")
        assert run.status != 0
        assert "b has another active firewall (/etc/ufw/ufw.conf)" in " ".join(run.output.split())
    finally:
        ground.fleet.ssh("b", "rm /etc/ufw/ufw.conf")
