"""Multipart forms, read into memory: a voice note is never written to a disk on the way."""

from typing import Final

import msgspec
from litestar.exceptions import HTTPException
from litestar.status_codes import HTTP_413_REQUEST_ENTITY_TOO_LARGE
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from orbitbot.foundation.errors import InvalidInput, MalformedRequest, TooLarge, UnsupportedMedia
from orbitbot.foundation.web import AnyRequest

OVERHEAD: Final = 100_000  # bytes that a form may need beside its file
_MAX_PARTS: Final = 32


class Form(msgspec.Struct, frozen=True):
    """The parts of a form by name."""

    parts: dict[str, bytes]

    def file(self, name: str) -> bytes:
        """The content of the file part `name`, which must be there."""
        if name not in self.parts:
            raise InvalidInput(name, "a file part of this name is needed")
        return self.parts[name]

    def text(self, name: str, default: str = "") -> str:
        """The field `name`; the default if it is absent or empty."""
        try:
            return self.parts.get(name, b"").decode().strip() or default
        except UnicodeDecodeError as error:
            raise InvalidInput(name, "not UTF-8") from error


async def read_form(request: AnyRequest) -> Form:
    """Read the request's body as `multipart/form-data`.

    Raises:
        UnsupportedMedia: the body is of another type.
        MalformedRequest: it is no well-formed form.
        InvalidInput: a name occurs twice.
        TooLarge: larger than the application's limit.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != "multipart/form-data":
        raise UnsupportedMedia("the body must be multipart/form-data")
    try:
        return await _parse(request, options.get("boundary", ""))
    except MultipartError as error:
        raise MalformedRequest(f"the form could not be read: {error}") from error
    except HTTPException as error:
        if error.status_code == HTTP_413_REQUEST_ENTITY_TOO_LARGE:
            raise TooLarge("the request is larger than a voice note may be") from error
        raise


async def _parse(request: AnyRequest, boundary: str) -> Form:
    parts: dict[str, bytearray] = {}
    name = ""
    with PushMultipartParser(boundary, max_segment_count=_MAX_PARTS) as parser:
        async for chunk in request.stream():
            if not chunk:
                break
            for event in parser.parse(chunk):
                if isinstance(event, MultipartSegment):
                    name = event.name
                    if name in parts:
                        raise InvalidInput(name, "given more than once")
                    parts[name] = bytearray()
                elif event:
                    parts[name] += event
    return Form({key: bytes(value) for key, value in parts.items()})
