"""Linking a phone. The bot tells what happens: `PUT /api/clients/{clientId}/bot/pairing`; people and programs
follow it: `GET /api/clients/{clientId}/pairing`, and live at `…/pairing/events`.

A *round* is what one connection of an unlinked channel offers: on WhatsApp six QR codes, the first good for
60 s, the others for 20 s each. When they are used up nothing happens until a `pair` command asks for another
round (`contracts.commands`), which anybody who looks does.
"""

from typing import Literal

import msgspec

PairingPhase = Literal["idle", "qr", "phone_code", "round_over", "paired", "failed"]

# Why a link did not come about.
PairingFailure = Literal[
    "passkey_required",     # the phone's owner must confirm with a passkey, which this release cannot pass on
    "client_outdated",      # WhatsApp takes this release's protocol no longer
    "phone_code_refused",   # WhatsApp gives no code for this number
    "too_many_attempts",    # WhatsApp wants a pause
    "multi_device_needed",  # the phone's WhatsApp is too old for linked devices
    "error",                # anything else; `detail` says what
]  # fmt: skip


class QrShown(
    msgspec.Struct, rename="camel", forbid_unknown_fields=True, frozen=True, kw_only=True,
    tag_field="phase", tag="qr",
):  # fmt: skip
    """A code to scan.

    Attributes:
        text: what the QR code holds.
        round: counts from 1 since the process began.
        index: which code of the round, from 1, of `codes`.
        seconds: for which it is valid, counted from when this is handed on.
    """

    text: str
    seconds: float
    round: int = 1
    index: int = 1
    codes: int = 6


class PhoneCodeShown(
    msgspec.Struct, rename="camel", forbid_unknown_fields=True, frozen=True, kw_only=True,
    tag_field="phase", tag="phone_code",
):  # fmt: skip
    """The 8 characters that the owner types into the phone that has `number`."""

    text: str
    number: str
    seconds: float


class RoundOver(
    msgspec.Struct, rename="camel", forbid_unknown_fields=True, frozen=True, kw_only=True,
    tag_field="phase", tag="round_over",
):  # fmt: skip
    """Every code of the round has passed, and nobody has scanned one."""

    round: int = 1


class Paired(
    msgspec.Struct, rename="camel", forbid_unknown_fields=True, frozen=True, kw_only=True,
    tag_field="phase", tag="paired",
):  # fmt: skip
    """A phone is linked; `number` is its own, digits only."""

    number: str = ""


class PairingFailed(
    msgspec.Struct, rename="camel", forbid_unknown_fields=True, frozen=True, kw_only=True,
    tag_field="phase", tag="failed",
):  # fmt: skip
    """It did not come about. Another round may be asked for."""

    reason: PairingFailure
    detail: str = ""


# What a channel tells its bot, and the bot the gateway.
PairingEvent = QrShown | PhoneCodeShown | RoundOver | Paired | PairingFailed


class PairingView(msgspec.Struct, rename="camel", kw_only=True):
    """Pairing as it is now.

    Attributes:
        phase: `idle`: nothing was asked for yet, or what was shown has passed.
        bot_state: the bot's state, or `unknown` while there is no sign of life.
        code: what the QR code holds, or the characters to type into the phone.
        svg: the QR code as an SVG image.
        seconds_left: for which `code` is still valid, of `valid_seconds` when it came.
        number: of the linked phone, or the one that a phone code was made for.
        asked: something is about to come: a command (`pair`, `phone_code`) waits for the bot to take it, or
            a code has just passed.
    """

    client_id: str
    phase: PairingPhase
    bot_state: str
    bot_reason: str = ""
    round: int = 0
    index: int = 0
    codes: int = 0
    code: str = ""
    svg: str = ""
    seconds_left: float = 0.0
    valid_seconds: float = 0.0
    number: str = ""
    failure: PairingFailure | None = None
    detail: str = ""
    asked: bool = False


class RequestPhoneCode(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """`POST /api/clients/{clientId}/pairing/phone-code`: `number` in international form, such as
    +55 11 91234-5678."""

    number: str


class PairingLink(msgspec.Struct, rename="camel"):
    """`POST /api/clients/{clientId}/pairing/link`: shown this once. `expires_at` is RFC 3339."""

    url: str
    expires_at: str
