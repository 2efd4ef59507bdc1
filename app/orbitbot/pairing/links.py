"""One-time links to the pairing page: 72 hours, one browser, until a phone is linked.

A link is `/pair/<client id>.<secret>`. Looking at it changes nothing, so that whoever previews links (chat
programs do) does not use it up; the first browser that presses the button gets a cookie, and no other opens
it.
"""

import hashlib
import hmac
import secrets
from typing import Final

import msgspec

from orbitbot.contracts.pairing import PairingLink
from orbitbot.foundation.database import Database
from orbitbot.foundation.errors import InvalidInput, NotFound
from orbitbot.foundation.names import check_client_id
from orbitbot.pairing import store
from orbitbot.pairing.models import LinkState

LIFETIME: Final = 72 * 3600.0  # seconds
_SECRET_BYTES: Final = 24
_LONGEST: Final = 100  # characters of a link's last part


class OpenedLink(msgspec.Struct, frozen=True):
    """A link as a browser sees it.

    Attributes:
        state: what has become of the link.
        is_this_browser: it is bound to the browser that asks.
    """

    client_id: str
    state: LinkState
    is_this_browser: bool

    @property
    def shows_codes(self) -> bool:
        """Whether this browser may see codes."""
        return self.state == "opened" and self.is_this_browser


class PairingLinks:
    """Makes links, and opens them once.

    Args:
        public_url: under which browsers reach the gateway.
    """

    def __init__(self, database: Database, public_url: str) -> None:
        self._database = database
        self._public_url = public_url.rstrip("/")

    async def create(self, client_id: str, *, author: str) -> PairingLink:
        """A new link, which takes the place of earlier ones that have linked no phone.

        Raises:
            NotFound: there is no such client.
        """
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        async with self._database.client(client_id) as connection:
            if not await store.client_exists(connection, client_id):
                raise NotFound(f"there is no client {client_id!r}")
            link = await store.add_link(connection, client_id, _hash(secret), author=author, seconds=LIFETIME)
        return PairingLink(
            url=f"{self._public_url}/pair/{client_id}.{secret}", expires_at=link.expires_at.isoformat()
        )

    async def look(self, token: str, browser: str) -> OpenedLink:
        """What has become of a link; changes nothing.

        Args:
            token: the link's last part.
            browser: the cookie's secret; empty without one.

        Raises:
            NotFound: there is no such link.
        """
        client_id, secret = _parts(token)
        async with self._database.client(client_id) as connection:
            link = await store.read_link(connection, client_id, _hash(secret))
        if link is None:
            raise NotFound("there is no such link")
        bound = link.browser_hash or ""
        return OpenedLink(client_id, link.state, is_this_browser=hmac.compare_digest(bound, _hash(browser)))

    async def open(self, token: str) -> str | None:
        """Bind a link to the browser that asks; the cookie's secret, or None if it cannot be opened any more.

        Raises:
            NotFound: there is no such link.
        """
        client_id, secret = _parts(token)
        browser = secrets.token_urlsafe(_SECRET_BYTES)
        async with self._database.client(client_id) as connection:
            if await store.read_link(connection, client_id, _hash(secret)) is None:
                raise NotFound("there is no such link")
            opened = await store.open_link(connection, client_id, _hash(secret), _hash(browser))
        return browser if opened else None


def cookie_name(token: str) -> str:
    """The cookie of one link, so that a browser can hold several. Nothing can be learnt from it."""
    return f"orbitbot-pair-{_hash(token)[:12]}"


def _parts(token: str) -> tuple[str, str]:
    client_id, _, secret = token.partition(".")
    try:
        check_client_id(client_id)
    except InvalidInput as error:
        raise NotFound("there is no such link") from error
    if not secret or len(token) > _LONGEST or not secret.isascii() or not secret.isprintable():
        raise NotFound("there is no such link")
    return client_id, secret


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
