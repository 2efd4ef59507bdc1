"""Debian's `pebble`, an ACME server for tests, on this machine's side of a fleet's bridge."""

import datetime as dt
import ipaddress
import json
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.net import wait_for

ACME_PORT, MANAGEMENT_PORT, DNS_PORT, CHALLENGES_PORT = 14000, 15000, 15053, 15055


@dataclass(frozen=True)
class Pebble:
    """A running server.

    Attributes:
        directory: its address for ACME clients.
        certificate: file of the certificate that it shows them, which is its own authority.
        authority: PEM of the authority that signs for them; a new one at every start.
    """

    directory: str
    certificate: Path
    authority: str


@contextmanager
def pebble(address: str, answers: str, folder: Path) -> Iterator[Pebble]:
    """Run it on `address`; every name that it is asked to certify leads to the address `answers`."""
    certificate, key = _own_certificate(address, folder)
    settings = {
        "pebble": {
            "listenAddress": f"{address}:{ACME_PORT}",
            "managementListenAddress": f"{address}:{MANAGEMENT_PORT}",
            "certificate": str(certificate),
            "privateKey": str(key),
            "httpPort": 80,
            "tlsPort": 443,
            "ocspResponderURL": "",
        }
    }
    (folder / "pebble.json").write_text(json.dumps(settings))
    names = [
        "pebble-challtestsrv",
        "-defaultIPv4",
        answers,
        "-defaultIPv6",
        "",
        "-http01",
        "",
        "-https01",
        "",
    ]
    names += [
        "-tlsalpn01",
        "",
        "-dns01",
        f"{address}:{DNS_PORT}",
        "-management",
        f"{address}:{CHALLENGES_PORT}",
    ]
    server = ["pebble", "-config", str(folder / "pebble.json"), "-dnsserver", f"{address}:{DNS_PORT}"]
    quick = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0", "PATH": "/usr/bin"}
    with (
        (folder / "pebble.log").open("wb") as log,
        subprocess.Popen(names, stdout=log, stderr=log) as resolver,
        subprocess.Popen(server, stdout=log, stderr=log, env=quick) as running,
    ):
        try:
            trusted = ssl.create_default_context(cafile=certificate)
            root = f"https://{address}:{MANAGEMENT_PORT}/roots/0"
            with httpx.Client(verify=trusted, trust_env=False) as client:
                wait_for(lambda: _answers(client, root), "pebble", 20)
                authority = client.get(root).text
            yield Pebble(f"https://{address}:{ACME_PORT}/dir", certificate, authority)
        finally:
            for process in (running, resolver):
                process.terminate()


def _answers(client: httpx.Client, url: str) -> bool:
    try:
        return client.get(url).is_success
    except httpx.TransportError:
        return False


def _own_certificate(address: str, folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pebble")])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "pebble.crt", folder / "pebble.key"
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return certificate, private
