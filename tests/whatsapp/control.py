"""The HTTP side of a server's process: each method of `Script` as a POST."""

import asyncio
import inspect
import typing
from typing import Any

import msgspec

from tests.whatsapp.script import Script
from tests.whatsapp.websocket import Request, respond


class Control:
    """Answers calls to a script's methods on the server's own event loop."""

    def __init__(self, script: Script, environment: dict[str, str]) -> None:
        self._script = script
        self._environment = environment
        self._calls = {
            name: _arguments_of(name, method)
            for name, method in inspect.getmembers(Script, inspect.isfunction)
            if not name.startswith("_")
        }

    async def listen(self, host: str, port: int) -> int:
        """Listen; returns the port."""
        server = await asyncio.start_server(self._serve, host, port)
        return int(server.sockets[0].getsockname()[1])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await Request.read(reader)
            body = await reader.readexactly(int(request.headers.get("content-length", "0")))
            status, answer = self._answer(request.target.strip("/"), body)
            await respond(writer, status, answer)
        except (EOFError, ConnectionError):
            pass  # the caller has left
        finally:
            writer.close()

    def _answer(self, name: str, body: bytes) -> tuple[str, bytes]:
        if name == "environment":
            return "200 OK", msgspec.json.encode(self._environment)
        if name not in self._calls:
            return "404 Not Found", f"no such method; there are: {', '.join(self._calls)}".encode()
        try:
            arguments = msgspec.json.decode(body, type=self._calls[name])
            result = getattr(self._script, name)(**msgspec.structs.asdict(arguments))
        except (msgspec.ValidationError, msgspec.DecodeError, LookupError, ValueError) as error:
            return "400 Bad Request", f"{name}: {error}".encode()
        return "200 OK", msgspec.json.encode(result)


def _arguments_of(name: str, method: Any) -> type[msgspec.Struct]:
    hints = typing.get_type_hints(method)
    fields: list[Any] = []
    for each in list(inspect.signature(method).parameters.values())[1:]:
        default = () if each.default is inspect.Parameter.empty else (each.default,)
        fields.append((each.name, hints[each.name], *default))
    return msgspec.defstruct(name, fields, forbid_unknown_fields=True, kw_only=True)
