"""One client's connection: handshake, login or pairing, then stanzas until its end."""

import asyncio
import logging
import secrets
import ssl
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag

from tests.whatsapp.nodes import SERVER, Jid, Node, decode, encode
from tests.whatsapp.noise import PROLOGUE_SIZE, Handshake, Transport
from tests.whatsapp.pairing import CodeLinking, ScannedCode, signed_identity
from tests.whatsapp.people import Device, Person
from tests.whatsapp.post import read_bundle
from tests.whatsapp.websocket import Frames

if TYPE_CHECKING:
    from tests.whatsapp.core import Core

REFERENCES: Final = 6  # QR codes of one round; the client shows the first for 60 s and the others for 20 s
FAREWELL: Final = 5.0  # seconds that a client has to leave after it was told to log in
LINGER: Final = (
    0.5  # seconds that a client has to read why: whatsmeow drops what it has not read when the end comes
)
GROUP_SERVER: Final = "g.us"

log = logging.getLogger(__name__)


class Connection:
    """A client from its WebSocket to its end.

    Attributes:
        device: who has logged in; None while it waits to be paired.
        linking: the code linking that was begun on this connection.
    """

    def __init__(self, core: "Core", frames: Frames) -> None:
        self.device: Device | None = None
        self.linking: CodeLinking | None = None
        self.linking_number = ""
        self._core = core
        self._frames = frames
        self._transport: Transport | None = None
        self._outgoing: asyncio.Queue[Node | None] = asyncio.Queue()
        self._references: list[str] = []
        self._linger = 0.0

    async def run(self) -> None:
        """Serve the client until it leaves or is thrown out."""
        writing: asyncio.Task[None] | None = None
        try:
            payload = await self._shake_hands()
            writing = asyncio.create_task(self._write())
            if payload.user:
                self._log_in(payload.user, payload.device)
            else:
                self._offer_pairing()
            while True:
                await self._take(decode(self._decrypt(await self._frames.read())))
        except (EOFError, ConnectionError, ssl.SSLError):
            pass  # it has left
        finally:
            if writing is not None:
                writing.cancel()
            self._forget()
            self._frames.close()

    def send(self, node: Node) -> None:
        """Send a stanza after those before it."""
        self._outgoing.put_nowait(node)

    def close(self) -> None:
        """End the connection after what was sent."""
        self._outgoing.put_nowait(None)

    def cut(self) -> None:
        """End the connection at once, as a lost network does."""
        self._frames.close()

    # Beginning

    async def _shake_hands(self):
        handshake = Handshake(self._core.keys, await self._frames.take(PROLOGUE_SIZE))
        self._frames.write(handshake.hello(await self._frames.read()))
        self._transport, payload = handshake.finish(await self._frames.read())
        return payload

    def _decrypt(self, frame: bytes) -> bytes:
        assert self._transport is not None
        return self._transport.decrypt(frame)

    async def _write(self) -> None:
        assert self._transport is not None
        while (node := await self._outgoing.get()) is not None:
            if delay := self._core.troubles.delay.get(self._number(), 0.0):
                await asyncio.sleep(delay)
            if self._hears(node):
                log.debug("-> %s %s", self._number(), node)
                self._frames.write(self._transport.encrypt(encode(node)))
                await self._frames.drain()
        await asyncio.sleep(self._linger)
        self._frames.close()

    def _number(self) -> str:
        return self.device.owner.number if self.device else ""

    def _hears(self, node: Node) -> bool:
        match self._core.troubles.hearing.get(self._number(), "all"):
            case "all":
                return True
            case "nothing":
                return False
            case "answers_only":
                return node.tag not in {"message", "receipt", "notification", "chatstate", "presence"}

    def _log_in(self, user: str, device_number: int) -> None:
        troubles = self._core.troubles
        device = self._core.directory.linked(user)
        if troubles.outdated:
            self._fail(405)
        elif user in troubles.banned_for:
            self._fail(402, code="101", expire=str(troubles.banned_for[user]))
        elif device is None or device.number != device_number:
            self._fail(401)
        else:
            if device.connection is not None:  # one session, one connection: the earlier one has to go
                device.connection.throw_out("replaced")
            self.device, device.connection = device, self
            device.logins += 1
            attributes: dict[str, str | Jid] = {"t": _now(), "lid": device.hidden_jid, "location": "lab"}
            self.send(Node("success", attributes))
            self._hand_over_waiting(device)

    def _hand_over_waiting(self, device: Device) -> None:
        waiting = [*device.waiting.values(), *device.receipts.values()]
        count = str(len(waiting))
        self.send(Node("ib", {"from": SERVER}, [Node("offline_preview", {"count": count, "message": count})]))
        for position, stanza in enumerate(waiting):
            self.send(Node(stanza.tag, {**stanza.attributes, "offline": str(position % 10)}, stanza.content))
        self.send(Node("ib", {"from": SERVER}, [Node("offline", {"count": count})]))

    def _fail(self, reason: int, **more: str) -> None:
        self.send(Node("failure", {"reason": str(reason), **more}))
        self.close()

    def throw_out(self, why: str) -> None:
        """End the stream and say why: `replaced`, `device_removed` or `kicked`."""
        if why == "kicked":
            self.send(Node("stream:error", {"code": "503"}))
        elif why == "replaced":
            self.send(Node("stream:error", {}, [Node("conflict", {"type": "replaced"})]))
        else:
            self.send(Node("stream:error", {"code": "401"}, [Node("conflict", {"type": why})]))
        self._linger = LINGER
        self.close()

    def _forget(self) -> None:
        for reference in self._references:
            self._core.waiting.pop(reference, None)
        if self.device is not None and self.device.connection is self:
            self.device.connection = None

    # Pairing

    def _offer_pairing(self) -> None:
        if self._core.troubles.outdated:
            self._fail(405)
            return
        self._references = [secrets.token_hex(12) for _ in range(REFERENCES)]
        for reference in self._references:
            self._core.waiting[reference] = self
        codes = [Node("ref", {}, each.encode()) for each in self._references]
        self.send(_query("set", "md", [Node("pair-device", {}, codes)]))

    def scan(self, code: ScannedCode, owner: Person) -> None:
        """The owner's phone has scanned a code of this connection's."""
        self._vouch(owner, code.identity, code.secret)

    def enter_code(self, code: str, owner: Person) -> None:
        """The owner has typed in a code that this client shows."""
        if self.linking is None:
            raise LookupError("the client has not asked for a code")
        self.send(
            Node(
                "notification",
                {"from": SERVER, "type": "link_code_companion_reg", "id": secrets.token_hex(4), "t": _now()},
                [
                    Node(
                        "link_code_companion_reg",
                        {"stage": "primary_hello"},
                        [
                            Node(
                                "link_code_pairing_wrapped_primary_ephemeral_pub",
                                {},
                                self.linking.answer(code),
                            ),
                            Node("primary_identity_pub", {}, owner.phone.identity.public),
                            Node("link_code_pairing_ref", {}, self.linking.reference.encode()),
                        ],
                    )
                ],
            )
        )

    def _vouch(self, owner: Person, identity: bytes, secret: bytes) -> None:
        device = self._core.directory.link(owner)
        self._core.directory.forget_sessions(device)
        sealed = signed_identity(owner.phone.identity, identity, secret)
        parts = [
            Node("device-identity", {}, sealed),
            Node("device", {"jid": device.jid, "lid": device.hidden_jid}),
            Node("platform", {"name": "android"}),
        ]
        self.send(_query("set", "md", [Node("pair-success", {}, parts)], t=_now()))

    # Stanzas

    async def _take(self, node: Node) -> None:
        if self._core.troubles.hearing.get(self._number()) == "nothing":
            return
        log.debug("<- %s %s", self._number(), node)
        match node.tag:
            case "iq":
                await self._take_query(node)
            case "message":
                self._take_message(node)
            case "receipt":
                self._take_receipt(node)
            case "ack" if self.device is not None and node.text("class") == "message":
                self.device.waiting.pop(node.text("id"), None)
            case "ack" if self.device is not None and node.text("class") == "receipt":
                self.device.receipts.pop(node.text("id"), None)
            case "presence" | "chatstate":
                self._core.note_presence(self._number(), node)

    def _take_message(self, node: Node) -> None:
        if self.device is None:
            return
        number, troubles = self._number(), self._core.troubles
        to = node.jid("to")
        acknowledgement = {"class": "message", "from": to, "id": node.text("id"), "t": _now()}
        if code := troubles.send_error.get(number):
            self.send(Node("ack", {**acknowledgement, "error": str(code)}))
            return
        readers = self._core.post.read(self.device, node)
        if left := troubles.lost_acknowledgements.get(number):
            troubles.lost_acknowledgements[number] = left - 1
        else:
            self.send(Node("ack", acknowledgement))
        for person in readers:
            if person.sends_receipts:
                who: dict[str, str | Jid] = {"from": to}
                if to.server == GROUP_SERVER:
                    who["participant"] = person.jid
                receipt = Node("receipt", {**who, "id": node.text("id"), "t": _now()})
                wait = troubles.receipt_delay.get(number, 0.0)
                asyncio.get_running_loop().call_later(wait, self.device.hand_over_receipt, receipt)

    def _take_receipt(self, node: Node) -> None:
        if self.device is None:
            return
        self.send(Node("ack", {"class": "receipt", "from": node.jid("to"), "id": node.text("id")}))
        if node.text("type") == "retry":
            self._core.retries.append(node.text("id"))
            stanza = self._core.post.resend(self.device, node)
            if stanza is not None:
                self.send(stanza)
        else:
            receipt = self._core.note_receipt(self._number(), node)
            if receipt.kind not in {"read", "played"}:  # the bot has it: this is how it acknowledges
                for message_id in receipt.ids:
                    self.device.waiting.pop(message_id, None)

    async def _take_query(self, node: Node) -> None:
        if node.text("type") == "result":
            if node.child("pair-device-sign") is not None:
                # "Log in now." Closed at once, the client might not read it: it closes by itself.
                self.send(Node("stream:error", {"code": "515"}))
                asyncio.get_running_loop().call_later(FAREWELL, self.close)
            return
        handlers: dict[tuple[str, str], Callable[[Node], Sequence[Node] | None]] = {
            ("encrypt", "get"): self._prekeys,
            ("encrypt", "set"): self._take_prekeys,
            ("usync", "get"): self._users,
            ("w:g2", "get"): self._group,
            ("w:m", "set"): self._media_hosts,
            ("blocklist", "get"): lambda _: [Node("list")],
            ("md", "set"): self._take_linking,
        }
        handler = handlers.get((node.text("xmlns"), node.text("type")))
        content = handler(node) if handler else None
        self.send(Node("iq", {"from": SERVER, "type": "result", "id": node.text("id")}, content))
        if node.child("remove-companion-device") is not None and self.device is not None:
            self._core.directory.unlink(self.device)
            self.throw_out("device_removed")

    def _prekeys(self, node: Node) -> Sequence[Node] | None:
        if node.child("count") is not None:
            left = len(self.device.one_time_keys) if self.device else 0
            return [Node("count", {"value": str(left)})]
        wanted = node.child("key")
        return (
            [Node("list", {}, [self._bundle(each.jid("jid")) for each in wanted.children])]
            if wanted
            else None
        )

    def _bundle(self, jid: Jid) -> Node:
        person = self._core.directory.find(jid)
        bundle, signer = person.phone.publish(), person.phone.identity
        assert bundle.one_time is not None
        key_id, key = bundle.one_time
        signature = signer.sign(b"\x05" + bundle.signed_key)
        return Node(
            "user",
            {"jid": jid},
            [
                Node("registration", {}, bundle.registration.to_bytes(4, "big")),
                Node("type", {}, b"\x05"),
                Node("identity", {}, bundle.identity),
                Node(
                    "skey",
                    {},
                    [
                        Node("id", {}, bundle.signed_key_id.to_bytes(3, "big")),
                        Node("value", {}, bundle.signed_key),
                        Node("signature", {}, signature),
                    ],
                ),
                Node("key", {}, [Node("id", {}, key_id.to_bytes(3, "big")), Node("value", {}, key)]),
            ],
        )

    def _take_prekeys(self, node: Node) -> None:
        listed, registration = node.child("list"), node.child("registration")
        if self.device is None or listed is None or registration is None:
            return
        self.device.bundle = read_bundle(node, registration.data)
        for key in listed.children:
            key_id, value = key.child("id"), key.child("value")
            if key_id is not None and value is not None:
                self.device.one_time_keys.append((int.from_bytes(key_id.data, "big"), value.data))

    def _users(self, node: Node) -> Sequence[Node]:
        self._core.lookups[self._number()] += 1
        asked = node.child("usync", "list")
        users = [self._user(each) for each in asked.children] if asked else []
        answer = [
            Node("result", {}, [Node("devices"), Node("contact"), Node("lid")]),
            Node("list", {}, users),
        ]
        return [Node("usync", {"sid": "1", "mode": "query"}, answer)]

    def _user(self, asked: Node) -> Node:
        contact = asked.child("contact")
        if "jid" in asked.attributes:
            jid = asked.jid("jid")
        else:
            jid = Jid((contact.data if contact else b"").decode().lstrip("+").partition("@")[0])
        person = self._core.directory.find(jid)
        devices = [Node("device", {"id": "0"})]
        linked = self._core.directory.linked(person.number)
        if linked is not None:
            devices.append(Node("device", {"id": str(linked.number), "key-index": "1"}))
        return Node(
            "user",
            {"jid": jid, "pn_jid": person.jid},
            [
                Node("devices", {}, [Node("device-list", {}, devices)]),
                Node("contact", {"type": "in"}, contact.data if contact else b""),
                Node("lid", {"val": person.hidden_jid}),
            ],
        )

    def _group(self, node: Node) -> Sequence[Node]:
        group = self._core.directory.group(node.jid("to").user)
        members = [
            Node(
                "participant",
                {
                    "jid": self._core.directory.person(number).jid,
                    "lid": self._core.directory.person(number).hidden_jid,
                    **({} if position else {"type": "admin"}),
                },
            )
            for position, number in enumerate(group.members)
        ]
        attributes: dict[str, str | Jid] = {
            "id": group.id, "subject": group.subject, "creation": "1", "s_t": "1", "addressing_mode": "pn",
            "creator": self._core.directory.person(group.members[0]).jid,
        }  # fmt: skip
        return [Node("group", attributes, members)]

    def _media_hosts(self, _: Node) -> Sequence[Node]:
        attributes = {"auth": "a", "auth_ttl": "3600", "ttl": "3600", "max_buckets": "12"}
        return [Node("media_conn", attributes, [Node("host", {"hostname": "mmg.whatsapp.net"})])]

    def _take_linking(self, node: Node) -> Sequence[Node] | None:
        request = node.child("link_code_companion_reg")
        if request is None:
            return None
        if request.text("stage") == "companion_hello":
            hello = request.child("link_code_pairing_wrapped_companion_ephemeral_pub")
            assert hello is not None
            self.linking = CodeLinking(secrets.token_hex(8), hello.data)
            self.linking_number = request.jid("jid").user
            self._core.linking[self.linking_number] = self
            reference = Node("link_code_pairing_ref", {}, self.linking.reference.encode())
            return [Node("link_code_companion_reg", {}, [reference])]
        bundle = request.child("link_code_pairing_wrapped_key_bundle")
        if self.linking is not None and bundle is not None:
            owner = self._core.directory.person(self.linking_number)
            try:
                identity, secret = self.linking.finish(owner.phone.identity, bundle.data)
            except InvalidTag:
                self._core.wrong_codes += 1
            else:
                asyncio.get_running_loop().call_soon(self._vouch, owner, identity, secret)
        return None


def _query(kind: str, namespace: str, content: Sequence[Node], **more: str) -> Node:
    attributes = {"from": SERVER, "type": kind, "id": secrets.token_hex(6), "xmlns": namespace, **more}
    return Node("iq", attributes, content)


def _now() -> str:
    return str(int(time.time()))
