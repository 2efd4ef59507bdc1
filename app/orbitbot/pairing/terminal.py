"""Linking a phone in a terminal: the code is drawn in place, with the seconds that it is still valid."""

import math
import time
from collections.abc import Callable
from typing import Final, Protocol

from orbitbot.contracts.pairing import PairingView
from orbitbot.foundation.phone_numbers import format_number
from orbitbot.pairing.qr import as_terminal

LOOK_SECONDS: Final = 0.5  # between looks
_HOME: Final = "\x1b[{}F\x1b[J"  # back to the first line of what was drawn, and clear from there
_STEPS: Final = "On the phone: WhatsApp, Menu or Settings, Linked devices, Link a device."
_NUMBER_STEPS: Final = f"{_STEPS} Then 'Link with phone number instead', and type:"
# Without one of these nothing can be asked for, and nothing will come by itself.
_WAITS: Final = frozenset({"waiting_for_pairing", "logged_out"})
_ENDS: Final[dict[str, str]] = {
    "banned": "WhatsApp has locked this number",
    "client_outdated": "WhatsApp does not take this release any more: upgrade",
}


class Pairing(Protocol):
    """One client's pairing."""

    def read(self) -> PairingView:
        """How it stands."""
        ...

    def begin(self) -> None:
        """Ask for a round of codes."""
        ...

    def request_phone_code(self, number: str) -> None:
        """Ask for a code to type."""
        ...


class Output(Protocol):
    """Where text goes."""

    def write(self, text: str, /) -> int: ...

    def flush(self) -> None: ...


class Drawing:
    """Text that is drawn again in its place; where that is not possible, every new text below the last one.

    Args:
        in_place: `out` is a terminal.
    """

    def __init__(self, out: Output, *, in_place: bool) -> None:
        self._out = out
        self._in_place = in_place
        self._lines = 0
        self._lasting = ""

    def show(self, lasting: str, passing: str = "") -> None:
        """Show `lasting` and below it `passing`; out of place, once for a `lasting`."""
        if self._in_place:
            text = "\n".join(filter(None, (lasting.rstrip("\n"), passing))) + "\n"
            back = _HOME.format(self._lines) if self._lines else ""
            self._out.write(back + text)
            self._lines = text.count("\n")
        elif lasting != self._lasting:
            self._out.write("\n".join(filter(None, (lasting.rstrip("\n"), passing))) + "\n")
        self._lasting = lasting
        self._out.flush()


def follow(
    pairing: Pairing,
    drawing: Drawing,
    *,
    phone: str = "",
    seconds: float,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.monotonic,
) -> bool:
    """Show codes until a phone is linked (True), or it cannot be, or `seconds` have passed.

    Args:
        phone: show a code to type into the phone with this number (digits only), instead of QR codes.
    """
    deadline = now() + seconds
    asked_for_phone_code = False
    while True:
        view = pairing.read()
        if view.phase == "paired":
            number = f": {format_number(view.number)}" if view.number else ""
            drawing.show(f"{view.client_id} is connected{number}")
            return True
        if (end := _end_of(view, asked_for_phone_code=asked_for_phone_code, phone=phone)) is not None:
            drawing.show(f"{view.client_id} was not connected: {end}")
            return False
        if now() >= deadline:
            drawing.show(f"{view.client_id} was not connected: nobody did it within {seconds:g} s")
            return False
        drawing.show(*_frame(view))
        if view.bot_state in _WAITS and not view.asked:
            if phone and not asked_for_phone_code:
                pairing.request_phone_code(phone)
                asked_for_phone_code = True
            elif not phone and view.phase in {"idle", "round_over"}:
                pairing.begin()
        sleep(LOOK_SECONDS)


def _end_of(view: PairingView, *, asked_for_phone_code: bool, phone: str) -> str | None:
    """Why there is no use in waiting; None while there is."""
    if view.bot_state in _ENDS:
        return " ".join(filter(None, (_ENDS[view.bot_state], view.bot_reason)))
    ours = not phone or asked_for_phone_code  # an earlier failure does not concern a code not yet asked for
    if view.phase == "failed" and not view.asked and ours:
        return " ".join(filter(None, (str(view.failure), view.detail)))
    if phone and asked_for_phone_code and view.phase == "round_over" and not view.asked:
        return "the code has passed; begin again"
    return None


def _frame(view: PairingView) -> tuple[str, str]:
    """What lasts and what passes of one look."""
    left = f"valid for another {math.ceil(view.seconds_left)} s"
    match view.phase:
        case "qr":
            count = f"code {view.index} of {view.codes}, round {view.round}, {left}"
            return f"{as_terminal(view.code)}\n{_STEPS}", count
        case "phone_code":
            code = f"{view.code[:4]}-{view.code[4:]}"
            return f"{_NUMBER_STEPS}\n\n    {code}\n\n(for {format_number(view.number)})", left
    reason = f" ({view.bot_reason})" if view.bot_reason else ""
    return f"{view.client_id}: the bot is {view.bot_state}{reason}; waiting for a code", ""
