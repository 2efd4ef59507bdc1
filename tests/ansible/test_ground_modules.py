"""What the modules of hardening and firewall decide, without a host."""

import base64
import json
import struct
from pathlib import Path

import pytest

from tests.ansible.conftest import load_plugin

access = load_plugin("plugins/modules/ssh_access.py")
kernel = load_plugin("plugins/modules/kernel_settings.py")
users = load_plugin("plugins/modules/firewall_users.py")
connection = load_plugin("plugins/action/new_connection.py")

TYPES = ("ssh-ed25519", "ssh-rsa")


def rsa_key(bits: int) -> str:
    """A line of `authorized_keys` whose RSA modulus has that many bits."""
    modulus = b"\0" + (1 << (bits - 1)).to_bytes(bits // 8, "big")
    fields = (b"ssh-rsa", b"\1\0\1", modulus)
    blob = b"".join(struct.pack(">I", len(field)) + field for field in fields)
    return f"ssh-rsa {base64.b64encode(blob).decode()} someone"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("ssh-ed25519 AAAA someone", ""),
        ('restrict,command="ssh-x y" ssh-ed25519 AAAA someone', ""),
        (rsa_key(3072), ""),
        (rsa_key(2048), "an RSA key of 2048 bits"),
        ("ssh-rsa AAAA someone", "an RSA key of 0 bits"),
        ("ecdsa-sha2-nistp256 AAAA someone", "a key of type ecdsa-sha2-nistp256"),
        ("# ssh-ed25519 AAAA someone", "no key"),
        ("ssh-ed25519", "no key"),
        ("", "no key"),
    ],
)
def test_a_key_is_judged_as_sshd_will(line: str, problem: str) -> None:
    assert access.problem(line, TYPES, 3072) == problem


def test_bots_users_are_written_as_numbers() -> None:
    assert "add element inet orbitbot bot_users { 997, 998 }\n" in users.render([997, 998])
    assert "add element" not in users.render([])
    assert "flush set inet orbitbot bot_users\n" in users.render([])


def test_the_running_users_are_read_from_nft() -> None:
    listing = {"nftables": [{"metainfo": {}}, {"set": {"name": "bot_users", "elem": [998, 997]}}]}
    assert users.running(json.dumps(listing)) == [997, 998]
    assert users.running(json.dumps({"nftables": [{"set": {"name": "bot_users"}}]})) == []


def test_a_kernel_parameter_has_a_file() -> None:
    assert kernel.file_of("net.ipv4.conf.all.rp_filter") == Path("/proc/sys/net/ipv4/conf/all/rp_filter")
    assert kernel.file_of("net.ipv4.conf.eth0/7.rp_filter") == Path(
        "/proc/sys/net/ipv4/conf/eth0.7/rp_filter"
    )
    assert kernel.refusal(Path("/proc/sys/kernel/no_such")) == "this kernel has no such parameter"


def test_a_new_connection_is_never_a_shared_one_and_has_the_hosts_settings() -> None:
    command = connection.ssh_command(
        {
            "ansible_host": "192.0.2.7",
            "ansible_port": 2222,
            "ansible_user": "operator",
            "ansible_ssh_private_key_file": "/key",
            "ansible_ssh_common_args": "-F '/a b/ssh_config' -o ControlPath=/run/%h",
        }
    )
    assert command.index("ControlPath=none") < command.index("ControlPath=/run/%h")
    assert command[command.index("-F") + 1] == "/a b/ssh_config"
    assert command[-8:] == ["-i", "/key", "-p", "2222", "-l", "operator", "192.0.2.7", "true"]


def test_a_host_that_refuses_is_told_in_sshs_words() -> None:
    assert "No route to host" in connection.attempt(["sh", "-c", "echo No route to host >&2; exit 255"])
    assert connection.attempt(["true"]) == ""
