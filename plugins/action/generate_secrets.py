"""Action `generate_secrets`: adds what is missing to an Ansible Vault file, on the controller.

Arguments:
    path: the vault file. It is made if it does not exist.

Returns `changed` and `added`, the names (never the values) of the secrets that were made. A secret
that exists is never altered. The file is encrypted in memory and replaced in one step, mode 0600.
"""

from __future__ import annotations

import datetime as dt
import os
import secrets
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail
from ansible.parsing.vault import VaultLib
from ansible.plugins.action import ActionBase
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

CA_DAYS = 3650
_PASSWORD_BYTES = 24

PASSWORDS = (
    "vault_database_owner_password",
    "vault_database_gateway_password",
    "vault_database_operator_password",
    "vault_database_ai_password",
    "vault_redis_password",
    "vault_backup_passphrase",
    "vault_operator_password",
    "vault_ai_sealing_secret",
)
KEY_PAIR = ("vault_signing_key", "vault_verify_key")
AUTHORITY = ("vault_tls_ca_key", "vault_tls_ca_certificate")
NAMES = (*PASSWORDS, *KEY_PAIR, *AUTHORITY)


class ActionModule(ActionBase):
    """See the module's text."""

    _VALID_ARGS = frozenset({"path"})
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Generate the missing secrets."""
        super().run(tmp, task_vars)
        path = Path(self._task.args["path"])
        vault = VaultLib(self._loader._vault.secrets)  # noqa: SLF001  (core offers no public way)
        known: dict[str, str] = {}
        if path.exists():
            known = yaml.safe_load(vault.decrypt(path.read_bytes())) or {}
        try:
            added = missing_secrets(known)
        except ValueError as error:
            raise AnsibleActionFail(f"{path}: {error}") from error
        if added and not self._task.check_mode:
            text = "---\n" + yaml.safe_dump(known | added, sort_keys=True)
            _replace(path, vault.encrypt(text.encode()))
        return {"changed": bool(added), "added": sorted(added)}


def missing_secrets(known: Iterable[str]) -> dict[str, str]:
    """New values for every secret of which `known` lacks the name.

    A key and what is derived from it are made together.

    Raises:
        ValueError: only one half of such a pair is known.
    """
    known = set(known)
    made = {name: secrets.token_urlsafe(_PASSWORD_BYTES) for name in PASSWORDS if name not in known}
    for pair, make in ((KEY_PAIR, _key_pair), (AUTHORITY, _authority)):
        halves = known.intersection(pair)
        if len(halves) == 1:
            raise ValueError(
                f"the vault holds {halves.pop()} but not the other of {' and '.join(pair)}: "
                "restore the other one, or remove both so that both are made anew"
            )
        if not halves:
            made |= dict(zip(pair, make(), strict=True))
    return made


def _pem(key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def _key_pair() -> tuple[str, str]:
    key = ed25519.Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return _pem(key), public.decode()


def _authority() -> tuple[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "OrbitBot local CA")])
    now = dt.datetime.now(dt.UTC)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))  # hosts' clocks differ
        .not_valid_after(now + dt.timedelta(days=CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    return _pem(key), certificate.public_bytes(serialization.Encoding.PEM).decode()


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".vault-", delete=False) as draft:
        try:
            draft.write(content)
            draft.flush()
            os.fsync(draft.fileno())
            Path(draft.name).replace(path)
        except OSError:
            Path(draft.name).unlink(missing_ok=True)
            raise
