"""The server: takes connections, knows who is on them, keeps what happened."""

import asyncio
import json
import logging
import ssl
import time
from collections import Counter
from pathlib import Path

import msgspec

from tests.whatsapp.connection import Connection
from tests.whatsapp.media import HOST, MediaStore, bare
from tests.whatsapp.nodes import Node
from tests.whatsapp.noise import ServerKeys
from tests.whatsapp.people import Directory
from tests.whatsapp.post import PostOffice
from tests.whatsapp.tls import make_certificates, server_context
from tests.whatsapp.troubles import Troubles
from tests.whatsapp.websocket import Frames, Request, accept_proxy, respond

_LARGEST_UPLOAD = 32_000_000  # bytes

log = logging.getLogger(__name__)


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """A bot's receipt for messages.

    Attributes:
        kind: `delivered` (which acknowledges them to the server), `read`, `played`, or another of WhatsApp's.
    """

    bot: str
    to: str
    kind: str
    ids: list[str]
    at: float


class Presence(msgspec.Struct, frozen=True, kw_only=True):
    """What a bot showed: `composing`, `paused`, `recording` to one; `available`, `unavailable` to all."""

    bot: str
    to: str
    shows: str
    at: float


class Core:
    """Everything behind the listening socket. Lives on one event loop; nothing in it is thread-safe.

    Attributes:
        waiting: connections that wait to be paired, by each of their references.
        linking: connections that have asked for a code, by the owner's number.
        connections: how many clients have opened a WebSocket so far.
        retries: ids of messages that bots could not read and asked for again, once for each time.
        lookups: how often each bot, by number, has asked for people's devices.
        wrong_codes: how often a wrong 8-digit code was typed in.
    """

    def __init__(self, directory: Path) -> None:
        self.authority = make_certificates(directory)
        self.keys = ServerKeys()
        self.directory = Directory()
        self.media = MediaStore()
        self.post = PostOffice(self.directory, self.media)
        self.troubles = Troubles()
        self.waiting: dict[str, Connection] = {}
        self.linking: dict[str, Connection] = {}
        self.connections = 0
        self.retries: list[str] = []
        self.receipts: list[Receipt] = []
        self.presences: list[Presence] = []
        self.lookups: Counter[str] = Counter()
        self.wrong_codes = 0
        self._context = server_context(directory)
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self, host: str, port: int, tls_port: int | None = None) -> int:
        """Listen as an HTTP proxy on `port` (0: any; it is returned), and as WhatsApp on `tls_port`."""
        proxy = await asyncio.start_server(self._accept_proxy, host, port)
        self._servers.append(proxy)
        if tls_port is not None:
            self._servers.append(
                await asyncio.start_server(self._accept_tls, host, tls_port, ssl=self._context)
            )
        return int(proxy.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """End every connection and listen no more."""
        for server in self._servers:
            server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def note_receipt(self, bot: str, node: Node) -> Receipt:
        """Keep a receipt of a bot's; returns it."""
        more = node.child("list")
        ids = [node.text("id"), *(each.text("id") for each in (more.children if more else []))]
        to = self.directory.find(node.jid("to")) if node.jid("to").server != "g.us" else None
        receipt = Receipt(
            bot=bot,
            to=to.number if to else node.jid("to").user,
            kind=node.text("type") or "delivered",
            ids=ids,
            at=time.time(),
        )
        self.receipts.append(receipt)
        return receipt

    def note_presence(self, bot: str, node: Node) -> None:
        """Keep what a bot shows."""
        if node.tag == "presence":
            to, shows = "", node.text("type")
        else:
            jid = node.jid("to")
            to = self.directory.find(jid).number if jid.server != "g.us" else jid.user
            shows = node.children[0].tag if node.children else ""
            if node.children and node.children[0].text("media") == "audio":
                shows = "recording"
        self.presences.append(Presence(bot=bot, to=to, shows=shows, at=time.time()))

    async def _accept_proxy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._guard(self._serve_proxy(reader, writer), writer)

    async def _accept_tls(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._guard(self._serve_direct(reader, writer), writer)

    async def _guard(self, serving, writer: asyncio.StreamWriter) -> None:
        """Serve one connection; its troubles are its own."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await serving
        except (EOFError, ConnectionError, ssl.SSLError, asyncio.LimitOverrunError) as error:
            log.debug("a connection ended: %r", error)
        except asyncio.CancelledError:
            pass
        except Exception:
            log.exception("a connection broke")
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _serve_proxy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not await self._let_in():
            return
        request = await accept_proxy(reader, writer, self._context)
        if request is not None:
            await self._serve(request, reader, writer)

    async def _serve_direct(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await self._let_in():
            await self._serve(await Request.read(reader), reader, writer)

    async def _let_in(self) -> bool:
        if self.troubles.hold_connections:
            await asyncio.Event().wait()
        return not self.troubles.refuse_connections

    async def _serve(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if "sec-websocket-key" in request.headers:
            frames = Frames(reader, writer)
            await frames.upgrade(request)
            self.connections += 1
            await Connection(self, frames).run()
        elif request.method == "POST":
            size = int(request.headers.get("content-length", "0"))
            if size > _LARGEST_UPLOAD:
                await respond(writer, "413 Content Too Large")
                return
            path = self.media.keep(await reader.readexactly(size))
            answer = {"url": f"https://{HOST}{path}", "direct_path": path, "handle": "h"}
            await respond(writer, "200 OK", json.dumps(answer).encode())
        else:
            file = self.media.fetch(request.target)
            if bare(request.target) in self.media.broken:
                await respond(writer, "500 Internal Server Error")
            elif file is None:
                await respond(writer, "404 Not Found")
            else:
                await respond(writer, "200 OK", file)
