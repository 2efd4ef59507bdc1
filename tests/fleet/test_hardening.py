"""Hardening, as a stranger, a guest and the operator meet it."""

import socket
import subprocess

import pytest

from tests.fleet.ground import Ground

pytestmark = [pytest.mark.fleet, pytest.mark.long]


def ssh(ground: Ground, *options: str) -> str:
    """What `ssh` says when it is refused with these options."""
    command = ground.fleet.ssh_command("a", "true")
    words = [word for option in ("LogLevel=INFO", *options) for word in ("-o", option)]
    done = subprocess.run(
        [command[0], *words, *command[1:]], capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode != 0
    return done.stderr.strip()


def test_a_password_is_not_asked_for(ground: Ground) -> None:
    """Even of a user who has one."""
    ground.fleet.ssh("a", "useradd --create-home guest && echo guest:hardly-secret | chpasswd")
    try:
        for way in ("password", "keyboard-interactive", "none"):
            refusal = ssh(ground, "User=guest", f"PreferredAuthentications={way}", "PubkeyAuthentication=no")
            assert refusal.endswith("Permission denied (publickey).")
    finally:
        ground.fleet.ssh("a", "userdel --remove guest 2>&1")


@pytest.mark.parametrize(
    ("option", "refusal"),
    [
        ("KexAlgorithms=diffie-hellman-group14-sha256", "no matching key exchange method"),
        ("KexAlgorithms=ecdh-sha2-nistp256", "no matching key exchange method"),
        ("Ciphers=chacha20-poly1305@openssh.com", "no matching cipher"),
        ("HostKeyAlgorithms=ecdsa-sha2-nistp256", "no matching host key type"),
    ],
)
def test_old_algorithms_are_refused(ground: Ground, option: str, refusal: str) -> None:
    assert refusal in ssh(ground, option)


def test_the_host_does_not_tell_its_release(ground: Ground) -> None:
    with socket.create_connection((ground.fleet.plan.host("a").address, 22), timeout=5) as connection:
        assert "Debian" not in connection.makefile().readline()


@pytest.mark.parametrize(
    ("make_key", "found"),
    [
        ("true", "guest has no key"),
        ("ssh-keygen -q -t ecdsa -N '' -f", "guest has only a key of type ecdsa-sha2-nistp256"),
        ("ssh-keygen -q -t rsa -b 2048 -N '' -f", "guest has only an RSA key of 2048 bits"),
    ],
)
def test_an_operator_without_a_key_is_not_shut_out(ground: Ground, make_key: str, found: str) -> None:
    ground.fleet.ssh(
        "a", "useradd --create-home guest && mkdir /home/guest/.ssh && rm -f /root/k /root/k.pub"
    )
    try:
        ground.fleet.ssh("a", f"{make_key} /root/k && touch /root/k.pub")
        ground.fleet.ssh("a", "cp /root/k.pub /home/guest/.ssh/authorized_keys")
        arguments = {"users": ["root", "guest"], "types": ["ssh-ed25519", "ssh-rsa"], "rsa_bits": 3072}
        run = ground.module("a", "ssh_access", **arguments)
        assert run.status != 0
        assert found in run.output
        ground.fleet.ssh("a", "cat /root/.ssh/authorized_keys >> /home/guest/.ssh/authorized_keys")
        ground.module("a", "ssh_access", **arguments).require_success()
    finally:
        ground.fleet.ssh("a", "userdel --remove guest 2>&1; rm -f /root/k /root/k.pub")


def test_the_run_stops_before_it_shuts_the_operator_out(ground: Ground) -> None:
    run = ground.play("--limit", "a", role="hardening", hardening_ssh_users=["games"])
    assert run.status != 0
    assert "Refuse to shut the operator out” failed" in run.output
    assert run.changed == 0


def test_settings_that_sshd_refuses_are_taken_back(ground: Ground) -> None:
    """Settings of somebody else's, which the check of the role's own file cannot see."""
    other = "/etc/ssh/sshd_config.d/01-other.conf"
    ground.fleet.ssh("a", f"echo 'AllowUsers nobody' > {other}")
    try:
        run = ground.play("--limit", "a", role="hardening")
        assert run.status != 0
        assert "no new SSH connection within 20 s" in run.output
    finally:
        ground.fleet.execute("a", ["sh", "-c", f"rm {other}; systemctl reload ssh"])
    ground.play("--limit", "a", role="hardening").require_success()
    assert ssh(ground, "PreferredAuthentications=none").endswith("Permission denied (publickey).")


def test_security_upgrades_install_themselves(ground: Ground) -> None:
    settings = ground.fleet.ssh("a", "apt-config dump APT::Periodic; apt-config dump Unattended-Upgrade")
    assert 'APT::Periodic::Unattended-Upgrade "1";' in settings
    assert 'Unattended-Upgrade::Automatic-Reboot "false";' in settings
    origins = [line for line in settings.splitlines() if "Origins-Pattern::" in line]
    assert len(origins) == 1
    assert "label=Debian-Security" in origins[0]
    timers = ground.fleet.ssh("a", "systemctl is-enabled apt-daily.timer apt-daily-upgrade.timer")
    assert timers == "enabled\nenabled\n"


def test_the_journal_is_kept_within_limits(ground: Ground) -> None:
    ground.fleet.ssh("a", "logger -t witness here && journalctl --sync && journalctl --flush")
    assert "here" in ground.fleet.ssh("a", "journalctl --directory=/var/log/journal -t witness -o cat")
    assert "SystemMaxUse=500M" in ground.fleet.ssh("a", "systemd-analyze cat-config systemd/journald.conf")


def test_kernel_parameters_are_set_or_named_with_the_reason(ground: Ground) -> None:
    read = "cat /proc/sys/net/ipv4/conf/all/accept_redirects /proc/sys/net/ipv4/conf/all/rp_filter"
    assert ground.fleet.ssh("a", read) == "0\n1\n"
    value = ground.fleet.ssh("a", "cat /proc/sys/kernel/kptr_restrict").strip()
    named = "kernel.kptr_restrict: read-only here: it belongs to the machine that this container runs on"
    assert (value == "2") != (named in ground.first.output)


def test_a_value_that_the_kernel_calls_wrong_is_an_error(ground: Ground) -> None:
    run = ground.module(
        "a", "kernel_settings", path="/root/none.conf", settings={"net.ipv4.conf.all.rp_filter": "often"}
    )
    assert run.status != 0
    assert "net.ipv4.conf.all.rp_filter = often: Invalid argument" in run.output


def test_core_dumps_are_off(ground: Ground) -> None:
    assert ground.fleet.ssh("a", "ulimit -H -c") == "0\n"
    assert ground.fleet.ssh("a", "systemd-run --quiet --wait --pipe sh -c 'ulimit -S -c'") == "0\n"
