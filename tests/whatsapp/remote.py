"""Scripts a server that runs in another process (`python -m tests.whatsapp`), by HTTP.

POST /METHOD {"argument": value, …}  →  what the method of `Script` returns, as JSON
GET  /environment                    →  the variables that lead a bot there
"""

import functools
import inspect
import typing
import urllib.error
import urllib.request
from typing import Any

import msgspec

from tests.whatsapp.script import Script

_TIMEOUT = 30.0  # seconds


class ScriptFailed(Exception):
    """The server could not do what it was asked; the message is its own."""


@functools.cache
def _form(name: str) -> tuple[inspect.Signature, Any]:
    """A method's arguments, and what it returns."""
    method = getattr(Script, name)
    return inspect.signature(method), typing.get_type_hints(method).get("return", Any)


class RemoteWhatsApp:
    """Has every method of `Script`.

    Args:
        url: the control address that the server's process printed.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def environment(self) -> dict[str, str]:
        """What a process needs in its environment so that its neonize comes to the server."""
        with urllib.request.urlopen(f"{self._url}/environment", timeout=_TIMEOUT) as reply:
            return msgspec.json.decode(reply.read(), type=dict[str, str])

    def __getattr__(self, name: str) -> Any:
        signature, returns = _form(name)

        def call(*positional: Any, **named: Any) -> Any:
            arguments = dict(signature.bind(None, *positional, **named).arguments)
            arguments.pop("self")
            request = urllib.request.Request(
                f"{self._url}/{name}", data=msgspec.json.encode(arguments), method="POST"
            )
            try:
                with urllib.request.urlopen(request, timeout=_TIMEOUT) as reply:
                    return msgspec.json.decode(reply.read(), type=returns)
            except urllib.error.HTTPError as error:
                raise ScriptFailed(error.read().decode()) from error

        return call
