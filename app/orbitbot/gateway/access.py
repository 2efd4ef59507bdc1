"""Who is calling, from where, and how often: one middleware in front of every route.

A request without a token, or with a bad one, counts against its address; one with a token against
the token's owner; bots are limited by the turns they have under way (`gateway.runner`).
"""

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Final

from litestar.datastructures import MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from orbitbot.clients.accounts import Accounts
from orbitbot.contracts.bot import GENERATION_HEADER
from orbitbot.foundation.errors import InvalidInput, Unauthenticated
from orbitbot.foundation.tokens import Principal, TokenVerifier
from orbitbot.foundation.web import COUNTS_FAILURES, OPEN_PATHS
from orbitbot.gateway.limits import Limiter, Policy, Usage
from orbitbot.gateway.settings import LimitSettings

_IPV6_SITE: Final = 64  # bits: one customer of a provider has all addresses behind them
_MINUTE: Final = 60  # seconds
_GENERATION: Final = GENERATION_HEADER.lower().encode()
_GENERATION_DIGITS: Final = 9

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Policies:
    """The limits in force."""

    def __init__(self, settings: LimitSettings) -> None:
        self.anonymous = Policy("anonymous", settings.anonymous_requests, settings.anonymous_seconds)
        # Wrong passwords have a count of their own: whoever uses up an address's requests, say a bot that
        # runs wild on the operator's host, does not lock the operator out.
        self.wrong_passwords = Policy(
            "wrong-passwords", settings.anonymous_requests, settings.anonymous_seconds
        )
        # A pairing link is as good as a name: its visits do not use up what its address may do.
        self.pairing_link = Policy("pairing-link", settings.pairing_link_requests, settings.anonymous_seconds)
        self.integrator = Policy("integrator", settings.integrator_requests_per_minute, _MINUTE)
        self.operator = Policy("operator", settings.operator_requests_per_minute, _MINUTE)

    def of(self, principal: Principal) -> Policy | None:
        """The limit of a token's owner; None for a bot."""
        if "operator" in principal.scopes:
            return self.operator
        return None if "bot" in principal.scopes else self.integrator


class AccessMiddleware(ASGIMiddleware):
    """Puts the `Principal` (or None) into `scope["user"]` and the address into `scope["state"]`.

    Raises:
        Unauthenticated: the token is bad or was revoked.
        Superseded: a bot whose lease has gone to another host.
        TooManyRequests: the address or the token's owner is over the limit.
    """

    scopes = (ScopeType.HTTP,)

    def __init__(
        self,
        *,
        verifier: TokenVerifier,
        accounts: Accounts,
        limiter: Limiter,
        policies: Policies,
        trusted_proxies: Sequence[str],
    ) -> None:
        self._verifier = verifier
        self._accounts = accounts
        self._limiter = limiter
        self._policies = policies
        self._trusted = [ipaddress.ip_network(each, strict=False) for each in trusted_proxies]

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Let the request pass, or not."""
        scope["user"] = None
        address = client_address(scope, self._trusted)
        scope["state"]["address"] = address
        if scope["path"] in OPEN_PATHS:
            await next_app(scope, receive, send)
            return
        try:
            principal = await self._authenticate(scope)
        except Unauthenticated as error:
            failure = await self._limiter.hit(self._policies.anonymous, address)
            failure.enforce()
            error.extra["headers"] = failure.headers
            raise
        scope["user"] = principal
        opt = scope["route_handler"].opt
        usage = await self._count(principal, address, counts_failures=COUNTS_FAILURES in opt)
        if usage is not None:
            usage.enforce()
            send = _with_headers(send, usage)
        await next_app(scope, receive, send)

    async def _authenticate(self, scope: Scope) -> Principal | None:
        values = [value for name, value in scope["headers"] if name == b"authorization"]
        if not values:
            return None
        kind, _, token = values[0].decode("latin-1").partition(" ")
        if kind.lower() != "bearer" or len(values) > 1:
            raise Unauthenticated("the Authorization header must be 'Bearer TOKEN', once")
        principal = self._verifier.verify(token.strip())
        await self._accounts.check(principal, shown_generation(scope) if "bot" in principal.scopes else None)
        return principal

    async def _count(
        self, principal: Principal | None, address: str, *, counts_failures: bool
    ) -> Usage | None:
        if principal is None:
            return None if counts_failures else await self._limiter.hit(self._policies.anonymous, address)
        policy = self._policies.of(principal)
        return None if policy is None else await self._limiter.hit(policy, principal.subject)


def shown_generation(scope: Scope) -> int | None:
    """What a bot shows of its lease; None where it shows nothing, as those of a single host need not."""
    for name, value in scope["headers"]:
        if name == _GENERATION:
            if not value.isdigit() or len(value) > _GENERATION_DIGITS:
                raise InvalidInput(GENERATION_HEADER, "must be a whole number")
            return int(value)
    return None


def _with_headers(send: Send, usage: Usage) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableScopeHeaders.from_message(message)
            for name, value in usage.headers.items():
                headers.setdefault(name, value)
        await send(message)

    return sending


def client_address(scope: Scope, trusted: Iterable[Network]) -> str:
    """The caller's address: the peer's, or what trusted proxies in front of us say it was.

    `X-Forwarded-For` is read from the right, as far as the hops are trusted proxies: what stands left of
    the first stranger was written by the stranger. An IPv6 address is cut to its site.
    """
    networks = list(trusted)
    peer = scope["client"][0] if scope["client"] else ""
    nearest = _parse(peer)
    if nearest is None:
        return peer or "unknown"
    forwarded = ",".join(
        value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"
    )
    hops = [hop.strip() for hop in forwarded.split(",")] if forwarded else []
    while hops and _is_trusted(nearest, networks):
        before = _parse(hops.pop())
        if before is None:
            break
        nearest = before
    if isinstance(nearest, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((nearest, _IPV6_SITE), strict=False))
    return str(nearest)


def _is_trusted(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)


def _parse(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
