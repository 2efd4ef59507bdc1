"""JSON bodies, decoded strictly: "12" is no number, and a wrong field is named."""

from typing import TypeVar

import msgspec

from orbitbot.foundation.errors import InvalidInput, MalformedRequest, UnsupportedMedia
from orbitbot.foundation.web import AnyRequest

T = TypeVar("T")


def content_type(request: AnyRequest) -> str:
    """The media type of the body, without parameters, in lower case."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def decode_json(raw: bytes, kind: type[T]) -> T:
    """`raw` as a `kind`.

    Raises:
        MalformedRequest: not JSON at all, or nested deeper than anything sensible.
        InvalidInput: JSON, but a field is unknown, missing or of the wrong type; names it.
    """
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        raise InvalidInput(path.strip(".`") or "body", message) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedRequest(f"the body is not JSON: {error}") from error


async def read_json(request: AnyRequest, kind: type[T]) -> T:
    """The request's body as a `kind`.

    Raises:
        UnsupportedMedia: it claims to be something else than JSON.
        MalformedRequest, InvalidInput: see `decode_json`.
    """
    if content_type(request) != "application/json":
        raise UnsupportedMedia("this route takes application/json")
    return decode_json(await request.body(), kind)
