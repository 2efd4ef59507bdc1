"""`POST /api/auth/token`: a password or a stored credential for a short-lived access token.

Names are OAuth 2.0's (RFC 6749), and so stay snake_case.
"""

from typing import Literal

import msgspec


class TokenRequest(msgspec.Struct, forbid_unknown_fields=True):
    """`password` for operators, `client_credentials` for bots and integrators."""

    grant_type: Literal["password", "client_credentials"]
    username: str = ""
    password: str = ""
    client_id: str = ""  # the credential's id, not the OrbitBot client's
    client_secret: str = ""


class TokenResponse(msgspec.Struct):
    """An access token; `expires_in` is in seconds."""

    access_token: str
    expires_in: int
    scope: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105
