"""Decoding of bodies that Litestar's own injection does not cover: JSON or multipart on one route, and
multipart with bytes in every part."""

from typing import Final, TypeVar

import msgspec
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from orbitbot.foundation.errors import InvalidInput, MalformedRequest, TooLarge, UnsupportedMedia
from orbitbot.foundation.web import AnyRequest

MAX_AUDIO: Final = 16 * 1024 * 1024  # bytes of one voice note; WhatsApp's own limit
MAX_MULTIPART: Final = 2 * MAX_AUDIO + 1024 * 1024  # bytes of one body
_MAX_PARTS: Final = 120
_BOUNDARY_LIMIT: Final = 200  # characters

T = TypeVar("T")


class Part(msgspec.Struct, frozen=True):
    """One part of a multipart body."""

    name: str
    content: bytes
    media_type: str


def content_type(request: AnyRequest) -> str:
    """The media type of the body, without parameters, in lower case."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def decode_json(raw: bytes, kind: type[T]) -> T:
    """`raw` as a `kind`.

    Raises:
        MalformedRequest: not JSON at all.
        InvalidInput: JSON, but a field is unknown, missing or of the wrong type; names it.
    """
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        raise InvalidInput(path.strip(".`") or "body", message) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
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


async def read_multipart(request: AnyRequest) -> list[Part]:
    """The parts of a multipart body, with their bytes as they came.

    Raises:
        MalformedRequest: it is not multipart as RFC 7578 has it.
        TooLarge: a part is over `MAX_AUDIO`. (The route's own limit holds for the whole.)
    """
    boundary = parse_options_header(request.headers.get("content-type", ""))[1].get("boundary", "")
    if not 0 < len(boundary) <= _BOUNDARY_LIMIT or not boundary.isascii():
        raise MalformedRequest("the multipart body has no usable boundary")
    parts: list[Part] = []
    segment: MultipartSegment | None = None
    content = bytearray()
    try:
        with PushMultipartParser(boundary, max_segment_count=_MAX_PARTS) as parser:
            async for chunk in request.stream():
                for event in parser.parse(chunk):
                    if isinstance(event, MultipartSegment):
                        segment, content = event, bytearray()
                    elif event is None and segment is not None:
                        media_type = segment.content_type or "application/octet-stream"
                        parts.append(Part(segment.name, bytes(content), media_type))
                    elif event is not None:
                        content += event
                        if len(content) > MAX_AUDIO:
                            raise TooLarge(f"a part is larger than {MAX_AUDIO // 1024**2} MiB")
    except (MultipartError, UnicodeDecodeError) as error:
        raise MalformedRequest("the multipart body could not be read") from error
    return parts
