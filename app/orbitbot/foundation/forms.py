"""Multipart bodies: the bytes of every part, as they came."""

from typing import Final

import msgspec
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from orbitbot.foundation.errors import MalformedRequest, TooLarge
from orbitbot.foundation.web import AnyRequest

MAX_AUDIO: Final = 16 * 1024 * 1024  # bytes of one voice note; WhatsApp's own limit
MAX_MULTIPART: Final = 2 * MAX_AUDIO + 1024 * 1024  # bytes of one body
_MAX_PARTS: Final = 120
_BOUNDARY_LIMIT: Final = 200  # characters


class Part(msgspec.Struct, frozen=True):
    """One part of a multipart body."""

    name: str
    content: bytes
    media_type: str


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
