"""The secrets of the deployment on this machine, read from the vault beside the inventory."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import msgspec
import yaml
from ansible.constants import DEFAULT_VAULT_ID_MATCH
from ansible.parsing.vault import VaultLib, VaultSecret

ROOT: Final = Path(__file__).resolve().parents[2]
VAULT: Final = ROOT / "inventory" / "local" / "group_vars" / "all" / "vault.yml"
_PASSPHRASE: Final = ROOT / "plugins" / "vault_passphrase"


class Vault(msgspec.Struct, rename={"ca_certificate": "vault_tls_ca_certificate"}):
    """What the tests use of it."""

    vault_operator_password: str
    ca_certificate: str  # PEM


def read_secrets(path: Path = VAULT) -> dict[str, str]:
    """Every secret by its variable's name.

    Raises:
        FileNotFoundError: nothing has been deployed from this checkout.
    """
    passphrase = subprocess.run([sys.executable, str(_PASSPHRASE)], check=True, capture_output=True).stdout
    vault = VaultLib([(DEFAULT_VAULT_ID_MATCH, VaultSecret(passphrase.strip()))])
    secrets = yaml.safe_load(vault.decrypt(path.read_bytes()))
    return {str(name): str(value) for name, value in secrets.items()}


def read_vault(path: Path = VAULT) -> Vault:
    """The operator's password and the local certificate authority."""
    return msgspec.convert(read_secrets(path), Vault)
