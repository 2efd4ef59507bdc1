"""The one exception base. Each error knows its RFC 9457 problem type and HTTP status.

`foundation.web` is the one place that turns these into HTTP answers.
"""

from typing import Any, ClassVar


class OrbitBotError(Exception):
    """Base of every error raised on purpose by this package.

    Attributes:
        status: the HTTP status that an API answers with.
        problem: last part of the RFC 9457 `type`, a stable name that clients may match on.
        title: short summary, the same for every occurrence of the type.
        detail: what happened this time; safe to show to the caller.
        extra: further members of the problem document (JSON-encodable).
        retry_after: seconds after which a retry makes sense, sent as `Retry-After`.
    """

    status: ClassVar[int] = 500
    problem: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Something went wrong on our side"

    def __init__(self, detail: str = "", *, retry_after: float | None = None, **extra: Any) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.retry_after = retry_after
        self.extra = extra


class SettingsError(OrbitBotError):
    """A settings file is missing, unreadable or wrong; the detail names file and field."""

    problem = "settings-error"
    title = "The settings are not usable"


class InvalidInput(OrbitBotError):
    """The request is well-formed but a field's value is not allowed."""

    status = 400
    problem = "invalid-input"
    title = "A field has a value that is not allowed"

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}", errors=[{"field": field, "detail": detail}])
        self.field = field


class MalformedRequest(OrbitBotError):
    """The body could not be decoded at all."""

    status = 400
    problem = "malformed-request"
    title = "The request body could not be read"


class Unauthenticated(OrbitBotError):
    """No token, or one that does not verify."""

    status = 401
    problem = "unauthenticated"
    title = "A valid access token is needed"


class Forbidden(OrbitBotError):
    """The token is valid but does not open this."""

    status = 403
    problem = "forbidden"
    title = "This token does not allow that"


class NotFound(OrbitBotError):
    """There is no such thing, or the caller may not know whether there is."""

    status = 404
    problem = "not-found"
    title = "There is no such thing"


class Conflict(OrbitBotError):
    """The request contradicts what is stored (an idempotency key used for another body, say)."""

    status = 409
    problem = "conflict"
    title = "The request contradicts the present state"


class Superseded(Conflict):
    """A bot shows a generation that is lower than its client's: another host has taken over."""

    problem = "superseded"
    title = "Another process has taken over this client"


class TooLarge(OrbitBotError):
    """Body, text, audio or duration over its limit."""

    status = 413
    problem = "too-large"
    title = "The content is too large"


class UnsupportedMedia(OrbitBotError):
    """A content type that this route does not take, or bytes that are not what they claim to be."""

    status = 415
    problem = "unsupported-media"
    title = "The content is of a kind that is not supported"


class Unprocessable(OrbitBotError):
    """Content of the right type that cannot be used, such as audio that does not decode."""

    status = 422
    problem = "unprocessable"
    title = "The content cannot be used"


class TooManyRequests(OrbitBotError):
    """A rate or concurrency limit; `retry_after` is always set."""

    status = 429
    problem = "too-many-requests"
    title = "Too many requests"


class Unavailable(OrbitBotError):
    """A service this one needs is not there for the moment; the same request may be repeated."""

    status = 503
    problem = "unavailable"
    title = "A needed service is not available at the moment"
