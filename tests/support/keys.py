"""An Ed25519 key pair as the playbook makes it, in files."""

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from orbitbot.foundation.tokens import TokenSigner


@dataclass(frozen=True)
class Keys:
    """PEM texts and the files that hold them."""

    private_pem: str
    public_pem: str
    private_file: Path
    public_file: Path

    def signer(self) -> TokenSigner:
        """Signs as the gateway does."""
        return TokenSigner(self.private_pem)


def make_keys(directory: Path) -> Keys:
    """A new key pair in `directory`."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    private_file, public_file = directory / "signing-key.pem", directory / "verify-key.pem"
    private_file.write_text(private)
    private_file.chmod(0o600)
    public_file.write_text(public)
    return Keys(private, public, private_file, public_file)
