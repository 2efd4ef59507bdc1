"""Bad input to playbooks: each stops before anything was changed, and names the value and what is allowed."""

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.deployment import Deployment
from tests.acceptance.hoststate import host_state
from tests.ansible.running import INVENTORY, playbook
from tests.support.net import free_port


@pytest.fixture
def unchanged(deployment: Deployment) -> Iterator[None]:
    """The host's state after the test is the one before it."""
    before = host_state(deployment)
    yield
    after = host_state(deployment)
    assert {key for key in before if before[key] != after[key]} == set()


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """A copy of the local inventory, to be spoilt."""
    return Path(shutil.copytree(INVENTORY, tmp_path / "inventory"))


def refused(name: str, *values: str, says: list[str], inventory: Path = INVENTORY) -> None:
    """Run a playbook that must refuse its input."""
    arguments = [word for value in values for word in ("-e", value)]
    run = playbook(name, *arguments, inventory=inventory)
    assert run.status != 0, run.output
    assert run.changed == 0, run.output
    said = " ".join(run.output.replace("''", "'").split())
    for text in says:
        assert text in said, run.output


CLIENT_ID = ["is not a client id", "2 to 31 characters: lower-case letters, digits and hyphens"]


@pytest.mark.usefixtures("unchanged")
class TestClients:
    """Values of the playbooks about clients."""

    @pytest.mark.parametrize("client", ["Padaria", "a" * 32, "../etc"])
    def test_a_client_id_that_is_not_allowed(self, client: str) -> None:
        refused("add-client", f"client={client}", says=[f"'{client}'", *CLIENT_ID])

    def test_no_client_id(self) -> None:
        refused("add-client", says=CLIENT_ID)

    @pytest.mark.parametrize("channel", ["telegram", "cloud"])
    def test_a_channel_that_no_bot_of_this_release_runs(self, channel: str) -> None:
        refused(
            "add-client",
            "client=nova",
            f"channel={channel}",
            says=[f"channel: '{channel}'", "allowed: neonize, simulator"],
        )

    def test_a_settings_file_with_a_misspelt_setting(self, tmp_path: Path) -> None:
        path = tmp_path / "nova.toml"
        path.write_text("[settings]\nquietSecond = 1.0\n")
        refused("add-client", "client=nova", f"settings_file={path}", says=[str(path), "`quietSecond`"])

    def test_a_host_that_is_none_of_the_inventorys(self) -> None:
        refused("add-client", "client=nova", "host=vps9", says=["'vps9'", "allowed: this-machine"])

    def test_a_language_that_the_api_refuses(self) -> None:
        refused("add-client", "client=nova", "language=Portuguese", says=["'Portuguese'", "BCP 47"])

    def test_removing_a_client_that_does_not_exist(self) -> None:
        refused("remove-client", "client=nova", says=["There is no client nova", "There are:", "padaria"])

    def test_a_purge_that_is_neither_yes_nor_no(self) -> None:
        refused("remove-client", "client=padaria", "purge=sure", says=["'sure' is neither yes nor no"])

    def test_verifying_a_client_that_does_not_exist(self) -> None:
        refused("verify", "client=nova", says=["no active client nova", "active: padaria"])

    def test_a_status_format_that_does_not_exist(self) -> None:
        refused("status", "format=xml", says=["'xml' is not a format", "allowed: text, json"])

    def test_a_key_file_that_is_not_there_or_empty(self, tmp_path: Path) -> None:
        (tmp_path / "empty").touch()
        refused("set-provider-key", f"key_file={tmp_path}/none", says=[f"no file '{tmp_path}/none'"])
        refused("set-provider-key", f"key_file={tmp_path}/empty", says=["the key is empty"])


@pytest.mark.usefixtures("unchanged")
class TestSite:
    """Inventories and hosts that site.yml cannot take."""

    def replace(self, path: Path, old: str, new: str) -> None:
        """Change one line of an inventory file."""
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def test_a_missing_variable(self, inventory: Path) -> None:
        self.replace(inventory / "group_vars/gateway/nginx.yml", "nginx_server_name:", "# nginx_server_name:")
        refused("site", inventory=inventory, says=["role nginx", "nginx_server_name"])

    def test_a_misspelt_variable(self, inventory: Path) -> None:
        with (inventory / "group_vars/ai/ai.yml").open("a") as file:
            file.write("ai_wrokers: 2\n")
        refused("site", inventory=inventory, says=["ai_wrokers", "did you mean ai_workers?"])

    def test_a_port_in_use(self, inventory: Path) -> None:
        port = free_port()
        with socket.create_server(("127.0.0.1", port)):
            path = inventory / "group_vars/all/orbitbot.yml"
            self.replace(path, "orbitbot_speech_port: 3002", f"orbitbot_speech_port: {port}")
            refused(
                "site", inventory=inventory, says=[f"port {port} (orbitbot_speech_port) is in use by process"]
            )

    def test_a_distribution_that_is_not_supported(self) -> None:
        """What this machine runs is taken off the list: to the check that is a host with another system."""
        supported = '{"preflight_distributions": ["debian 98", "debian 99"]}'
        refused("site", supported, says=["the distribution is 'debian 1", "supported: debian 98, debian 99"])

    def test_too_little_disk_for_a_release(self) -> None:
        says = ["MiB free; a release needs 999999999 MiB (preflight_disk_mib)"]
        refused("site", "preflight_disk_mib=999999999", says=says)
