"""What is checked before anything is changed: `check_host`, `check_inventory`."""

import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from tests.ansible.conftest import REPOSITORY, load_plugin
from tests.ansible.rendering import trusted

host = load_plugin("plugins/modules/check_host.py")
inventory = load_plugin("plugins/action/check_inventory.py")

DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nID=debian\n'


def test_debian_12_is_what_os_release_says() -> None:
    assert list(host.check_distribution(host.os_release(DEBIAN), ["debian 12", "debian 13"])) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [("ID=ubuntu\nVERSION_ID='24.04'\n", "ubuntu 24.04"), ("ID=debian\n", "debian"), ("", "unknown")],
)
def test_another_distribution_is_a_complaint(text: str, found: str) -> None:
    assert list(host.check_distribution(host.os_release(text), ["debian 12"])) == [
        f"the distribution is '{found}'; supported: debian 12"
    ]


def test_pythons_are_compared_as_numbers() -> None:
    assert list(host.check_python("3.11.2", "3.11")) == []
    assert list(host.check_python("3.13.5", "3.11")) == []
    assert list(host.check_python("3.9.2", "3.11"))


def test_disk_space_is_that_of_the_nearest_directory_there_is(tmp_path: Path) -> None:
    below = tmp_path / "not" / "there" / "yet"
    assert list(host.check_disk(below, 1, "some_variable")) == []
    (complaint,) = host.check_disk(below, 10**9, "some_variable")
    assert complaint.startswith(f"{tmp_path} has ")
    assert complaint.endswith(f"a release needs {10**9} MiB (some_variable)")


@pytest.mark.parametrize(
    ("family", "address", "table"), [(socket.AF_INET, "127.0.0.1", "tcp"), (socket.AF_INET6, "::1", "tcp6")]
)
def test_a_port_in_use_is_found_with_its_process(
    family: socket.AddressFamily, address: str, table: str
) -> None:
    with socket.create_server((address, 0), family=family) as server:
        port = server.getsockname()[1]
        found = host.listeners(Path(f"/proc/net/{table}").read_text())
        assert list(host.processes_of(found[port])) == [os.getpid()]
        executable = host.describe(os.getpid())[0]
        wanted = {"port": port, "variable": "some_port", "owner": ["/nowhere/"]}
        (complaint,) = host.check_port(wanted, found)
        assert f"port {port} (some_port) is in use by process {os.getpid()}" in complaint
        assert list(host.check_port(wanted | {"owner": [str(Path(executable).parent)]}, found)) == []
        assert list(host.check_port(wanted | {"port": 1}, found)) == []
    assert Path(executable).resolve() == Path(sys.executable).resolve()


def test_a_connection_is_not_a_listener() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        port = client.getsockname()[1]
        assert port not in host.listeners(Path("/proc/net/tcp").read_text())


def test_an_unknown_name_comes_with_the_nearest_known_one() -> None:
    found = list(
        inventory.unknown_names(
            Path("group_vars/all/a.yml"), {"redis_prot": 1, "redis_port": 1}, {"redis_port"}
        )
    )
    assert found == ["group_vars/all/a.yml: unknown variable redis_prot; did you mean redis_port?"]


def test_a_name_like_no_other_is_unknown_too_and_ansibles_own_are_known() -> None:
    found = list(inventory.unknown_names(Path("a.yml"), {"zzz": 1, "ansible_host": 1}, {"redis_port"}))
    assert found == ["a.yml: unknown variable zzz; no role has a variable of a similar name"]


def test_variables_of_groups_and_hosts_are_looked_at_in_files_and_directories(tmp_path: Path) -> None:
    for name in ("group_vars/all/a.yml", "group_vars/bots.yml", "host_vars/one/b.yaml", "hosts.yml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("---\n")
    found = [str(path.relative_to(tmp_path)) for path in inventory.variable_files(tmp_path)]
    assert found == ["group_vars/all/a.yml", "group_vars/bots.yml", "host_vars/one/b.yaml"]


def test_every_roles_parameters_are_known() -> None:
    known = inventory.declared_names(REPOSITORY / "roles")
    assert {"gateway_workers", "redis_password", "orbitbot_domain", "vault_signing_key"} <= known


def test_options_are_read_without_their_defaults(tmp_path: Path) -> None:
    (tmp_path / "meta").mkdir()
    option = {
        "type": "list",
        "default": "{{ x }}",
        "options": {"name": {"type": "str", "default": "{{ y }}"}},
    }
    specs = {"argument_specs": {"main": {"options": {"role_list": option}}, "empty": {}}}
    (tmp_path / "meta/argument_specs.yml").write_text(yaml.safe_dump(specs))
    assert inventory.read_options(tmp_path, "main") == {
        "role_list": {"type": "list", "options": {"name": {"type": "str"}}}
    }
    assert inventory.read_options(tmp_path, "empty") == {}


GROUPS = {"all": ["vps-1", "gpu-1"], "gateway": ["vps-1"], "speech": ["gpu-1"]}


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("group_vars/all/base.yml", []),
        ("group_vars/gateway.yml", []),
        ("host_vars/gpu-1/mesh.yml", []),
        ("group_vars/gatway/nginx.yml", ["there is no group gatway; did you mean gateway?"]),
        ("host_vars/vps1.yml", ["there is no host vps1; did you mean vps-1?"]),
        ("group_vars/zzz.yml", ["there is no group zzz; there are: all, gateway, speech"]),
    ],
)
def test_a_file_of_no_group_or_host_is_a_complaint(path: str, complaint: list[str]) -> None:
    assert list(inventory.stray_file(Path(path), GROUPS)) == [f"{path}: {each}" for each in complaint]


def test_an_address_made_from_the_hosts_name_is_a_complaint() -> None:
    content = {"ansible_host": "{{ inventory_hostname }}.example.net"}
    (complaint,) = inventory.file_complaints(Path("a.yml"), content, set())
    assert "write the address itself" in complaint
    assert list(inventory.file_complaints(Path("a.yml"), {"ansible_host": "192.0.2.1"}, set())) == []


def test_a_file_that_holds_no_variables_is_a_complaint() -> None:
    assert list(inventory.file_complaints(Path("a.yml"), ["x"], set())) == [
        "a.yml: variables are needed, as `name: value`"
    ]


def complaints(options: dict[str, Any], **variables: Any) -> list[str]:
    """What `parameter_complaints` says, with Ansible's own Templar."""
    values = trusted(variables)
    templar = Templar(loader=DataLoader(), variables=values)
    known = {"vault_database_password", *options}
    return list(inventory.parameter_complaints(options, values, templar, known))


def test_a_secret_that_will_be_generated_counts_as_given() -> None:
    options = {"a_password": {"type": "str", "required": True}}
    assert complaints(options, a_password="{{ vault_database_password }}") == []
    (complaint,) = complaints(options, a_password="{{ vault_databse_password }}")
    assert complaint.startswith("a_password: ")
    assert complaint.endswith("(no such secret is generated; did you mean vault_database_password?)")


def test_missing_undefined_and_wrong_parameters_are_all_named() -> None:
    options = {
        "a_port": {"type": "int"},
        "a_url": {"type": "str"},
        "a_name": {"type": "str", "required": True},
    }
    found = complaints(options, a_port="many", a_url="http://{{ domian }}/")
    assert any("'domian' is undefined" in each for each in found)
    assert any("missing required arguments: a_name" in each for each in found)
    assert any("a_port" in each and "int" in each for each in found)
