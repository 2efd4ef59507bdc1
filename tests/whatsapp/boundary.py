"""The three things that lead an unmodified neonize to this server instead of WhatsApp's.

* `HTTPS_PROXY`: the server, which answers CONNECT for WhatsApp's host names itself.
* `SSL_CERT_FILE`: the server's certificate authority.
* The public key at the root of WhatsApp's Noise certificates. It is compiled into neonize's Go library, so it
  is replaced in the memory of the process that has loaded it; the file on disk stays as it is.

The first two are environment variables. The third is done by `site/sitecustomize.py`, which Python imports at
its start because `PYTHONPATH` names its directory. Nothing of this is in a release.

Passkey linking is not spoken by the server: tests inject it at neonize's boundary
(`docs/operations/whatsapp.md`).
"""

from pathlib import Path
from typing import Final

ROOT_KEY_VARIABLE: Final = "ORBITBOT_TEST_NOISE_ROOT"
SITE: Final = Path(__file__).parent / "site"


def environment(proxy: str, authority: Path, root_key: bytes) -> dict[str, str]:
    """The variables for a process whose neonize is to come to the server at `proxy`."""
    return {
        "HTTPS_PROXY": proxy,
        "SSL_CERT_FILE": str(authority),
        ROOT_KEY_VARIABLE: root_key.hex(),
        "PYTHONPATH": str(SITE),
    }
