"""Access tokens, and the attacks of RFC 8725 that must not work."""

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest

from orbitbot.foundation.errors import Unauthenticated
from orbitbot.foundation.tokens import LEEWAY, TokenVerifier
from tests.support.clock import Clock
from tests.support.keys import Keys, make_keys


def sign(keys: Keys, **changes: Any) -> str:
    arguments: dict[str, Any] = {
        "subject": "bot:padaria",
        "audience": "gateway",
        "scopes": frozenset({"bot"}),
        "client_id": "padaria",
        "version": 3,
    }
    return keys.signer().sign(**(arguments | changes))


def forged(keys: Keys, key: Any, algorithm: str, *, typ: str = "at+jwt", **changes: Any) -> str:
    claims = jwt.decode(sign(keys), options={"verify_signature": False})
    return jwt.encode(claims | changes, key, algorithm=algorithm, headers={"typ": typ})


def test_a_token_comes_back_as_its_principal(keys: Keys) -> None:
    principal = TokenVerifier(keys.public_pem, "gateway").verify(sign(keys))
    assert principal.subject == "bot:padaria"
    assert principal.client_id == "padaria"
    assert principal.scopes == {"bot"}
    assert principal.version == 3


def test_another_services_token_is_refused(keys: Keys) -> None:
    with pytest.raises(Unauthenticated):
        TokenVerifier(keys.public_pem, "ai").verify(sign(keys))


def test_a_list_of_audiences_is_refused(keys: Keys) -> None:
    private = keys.private_pem
    with pytest.raises(Unauthenticated):
        TokenVerifier(keys.public_pem, "ai").verify(forged(keys, private, "EdDSA", aud=["gateway", "ai"]))


def test_no_signature_is_refused(keys: Keys) -> None:
    header, payload, _ = sign(keys).split(".")
    none = (
        base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "at+jwt"}).encode()).rstrip(b"=").decode()
    )
    for token in (f"{none}.{payload}.", f"{header}.{payload}.", "", "x", "a.b.c"):
        with pytest.raises(Unauthenticated):
            TokenVerifier(keys.public_pem, "gateway").verify(token)


def test_the_public_key_is_no_hmac_secret(keys: Keys) -> None:
    def part(value: dict[str, str]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    signed = part({"alg": "HS256", "typ": "at+jwt"}) + "." + sign(keys).split(".")[1]
    mac = hmac.new(keys.public_pem.encode(), signed.encode(), hashlib.sha256).digest()
    token = signed + "." + base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
    with pytest.raises(Unauthenticated):
        TokenVerifier(keys.public_pem, "gateway").verify(token)


def test_another_key_issuer_or_type_is_refused(keys: Keys, tmp_path: Path) -> None:
    verifier = TokenVerifier(keys.public_pem, "gateway")
    stranger = make_keys(tmp_path)
    for token in (
        forged(keys, stranger.private_pem, "EdDSA"),
        forged(keys, keys.private_pem, "EdDSA", iss="somebody"),
        forged(keys, keys.private_pem, "EdDSA", typ="JWT"),
        forged(keys, keys.private_pem, "EdDSA", exp="soon"),
    ):
        with pytest.raises(Unauthenticated):
            verifier.verify(token)
    assert verifier.verify(forged(keys, keys.private_pem, "EdDSA")).client_id == "padaria"


def test_an_expired_token_is_refused_also_from_the_cache(keys: Keys) -> None:
    clock = Clock(time.time())
    verifier = TokenVerifier(keys.public_pem, "gateway", now=clock)
    token = sign(keys, lifetime=-LEEWAY - 1)
    with pytest.raises(Unauthenticated, match="expired"):
        verifier.verify(token)

    short = sign(keys, lifetime=300)
    assert verifier.verify(short).client_id == "padaria"
    assert verifier._verified  # it is remembered …
    clock.seconds += 301
    verifier._decode = lambda _: (_ for _ in ()).throw(Unauthenticated("asked again"))  # type: ignore[method-assign]
    with pytest.raises(Unauthenticated, match="asked again"):  # … but not beyond its life
        verifier.verify(short)
