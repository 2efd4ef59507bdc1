"""The vault: what is generated, once; and the passphrase that opens it."""

import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from tests.ansible.conftest import REPOSITORY, load_plugin
from tests.ansible.running import BINARIES, action

secrets = load_plugin("plugins/action/generate_secrets.py")
SCRIPT = REPOSITORY / "plugins/vault_passphrase"


@pytest.fixture
def passphrase(tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "passphrase"
    path.write_text("for-tests-only\n")
    return {"ANSIBLE_VAULT_PASSWORD_FILE": str(path)}


def content(vault: Path, passphrase: dict[str, str]) -> dict[str, Any]:
    told = subprocess.run(
        [BINARIES / "ansible-vault", "view", vault],
        env=passphrase | {"PATH": "/usr/bin:/bin"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    found: dict[str, Any] = yaml.safe_load(told)
    return found


def test_every_secret_is_made_and_they_are_all_different() -> None:
    made = secrets.missing_secrets([])
    assert made.keys() == set(secrets.NAMES)
    assert len(set(made.values())) == len(made)
    assert all(len(made[name]) >= 32 for name in secrets.PASSWORDS)


def test_the_inventory_declares_every_secret() -> None:
    specs = yaml.safe_load((REPOSITORY / "roles/secrets/meta/argument_specs.yml").read_text())
    assert set(secrets.NAMES) <= specs["argument_specs"]["generated"]["options"].keys()


def test_the_public_key_is_the_private_ones() -> None:
    made = secrets.missing_secrets([])
    private: Any = load_pem_private_key(made["vault_signing_key"].encode(), password=None)
    assert load_pem_public_key(made["vault_verify_key"].encode()) == private.public_key()


def test_the_authority_may_sign_servers_and_no_other_authority() -> None:
    made = secrets.missing_secrets([])
    certificate = x509.load_pem_x509_certificate(made["vault_tls_ca_certificate"].encode())
    private: Any = load_pem_private_key(made["vault_tls_ca_key"].encode(), password=None)
    assert certificate.public_key() == private.public_key()
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (constraints.ca, constraints.path_length) == (True, 0)
    certificate.verify_directly_issued_by(certificate)
    days = (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days
    assert days == secrets.CA_DAYS


def test_what_is_there_stays_and_only_the_rest_is_made() -> None:
    known = set(secrets.NAMES) - {"vault_redis_password"}
    assert secrets.missing_secrets(known).keys() == {"vault_redis_password"}


@pytest.mark.parametrize("lost", [*secrets.KEY_PAIR, *secrets.AUTHORITY])
def test_half_a_pair_is_not_completed(lost: str) -> None:
    with pytest.raises(ValueError, match=r"restore the other one"):
        secrets.missing_secrets(set(secrets.NAMES) - {lost})


def test_a_vault_is_made_once_and_later_only_added_to(tmp_path: Path, passphrase: dict[str, str]) -> None:
    vault = tmp_path / "group_vars/all/vault.yml"
    assert action("generate_secrets", check=True, variables=passphrase, path=str(vault))["changed"]
    assert not vault.exists()

    first = action("generate_secrets", variables=passphrase, path=str(vault))
    assert first["added"] == sorted(secrets.NAMES)
    made = content(vault, passphrase)
    assert made.keys() == set(secrets.NAMES)
    assert stat.S_IMODE(vault.stat().st_mode) == 0o600
    assert vault.read_text().startswith("$ANSIBLE_VAULT;")
    assert not any(str(value) in str(first) for value in made.values())

    encrypted = vault.read_bytes()
    assert not action("generate_secrets", variables=passphrase, path=str(vault))["changed"]
    assert vault.read_bytes() == encrypted
    assert [path.name for path in vault.parent.iterdir()] == ["vault.yml"]


def test_a_vault_of_another_passphrase_is_left_alone(tmp_path: Path, passphrase: dict[str, str]) -> None:
    vault = tmp_path / "vault.yml"
    action("generate_secrets", variables=passphrase, path=str(vault))
    encrypted = vault.read_bytes()
    Path(passphrase["ANSIBLE_VAULT_PASSWORD_FILE"]).write_text("another\n")
    assert "Decryption failed" in action("generate_secrets", variables=passphrase, path=str(vault))["msg"]
    assert vault.read_bytes() == encrypted


class Checkout:
    """A checkout with nothing but the passphrase script."""

    def __init__(self, path: Path) -> None:
        self.passphrase = path / ".vault-passphrase"
        self.vault = path / "inventory/mine/group_vars/all/vault.yml"
        self._script = path / "plugins/vault_passphrase"
        self._script.parent.mkdir()
        shutil.copy(SCRIPT, self._script)

    def run(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run([self._script], capture_output=True, text=True, check=False, umask=0)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_a_fresh_checkout_makes_a_passphrase_and_keeps_it(checkout: Checkout) -> None:
    first = checkout.run()
    assert len(first.stdout.strip()) >= 43
    assert stat.S_IMODE(checkout.passphrase.stat().st_mode) == 0o600
    assert checkout.run().stdout == first.stdout
    assert [path.name for path in checkout.passphrase.parent.iterdir() if path.is_file()] == [
        ".vault-passphrase"
    ]


def test_a_vault_without_its_passphrase_gets_no_new_one(checkout: Checkout) -> None:
    checkout.vault.parent.mkdir(parents=True)
    checkout.vault.write_text("$ANSIBLE_VAULT;1.1;AES256\n")
    refused = checkout.run()
    assert refused.returncode != 0
    assert "inventory/mine/group_vars/all/vault.yml exists" in refused.stderr
    assert "scp" in refused.stderr
    assert not checkout.passphrase.exists()


def test_a_passphrase_that_others_can_read_is_refused(checkout: Checkout) -> None:
    checkout.run()
    checkout.passphrase.chmod(0o644)
    refused = checkout.run()
    assert refused.returncode != 0
    assert f"chmod 600 {checkout.passphrase}" in refused.stderr
    assert refused.stdout == ""
