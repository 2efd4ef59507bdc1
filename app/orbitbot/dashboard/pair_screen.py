"""What the pairing page shows, decided from how things stand."""

from typing import Any, Final, Literal

import msgspec
from markupsafe import Markup

from orbitbot.contracts.pairing import PairingView
from orbitbot.dashboard.pages import render
from orbitbot.dashboard.texts import Language, texts
from orbitbot.foundation.phone_numbers import format_number
from orbitbot.pairing.links import OpenedLink
from orbitbot.pairing.qr import as_svg

Screen = Literal[
    "qr", "phone_code", "preparing", "round_over", "failed", "passkey", "connected", "banned", "outdated",
    "away", "other_browser", "expired", "replaced",
]  # fmt: skip

_BY_BOT_STATE: Final[dict[str, Screen]] = {
    "unknown": "away",
    "stopping": "away",
    "passkey_required": "passkey",
    "banned": "banned",
    "client_outdated": "outdated",
}
_FINAL: Final = frozenset({"connected", "other_browser", "expired", "replaced"})
_OFFERS_PHONE_CODE: Final = frozenset({"qr", "round_over", "failed"})


class Showing(msgspec.Struct, frozen=True):
    """One state of the page.

    Attributes:
        waits_for_round: nothing is under way, and a round may be asked for in the reader's name.
    """

    screen: Screen
    view: PairingView

    @property
    def is_final(self) -> bool:
        """Nothing will change any more for this link."""
        return self.screen in _FINAL

    @property
    def offers_phone_code(self) -> bool:
        """The form for a code to type stands below."""
        return self.screen in _OFFERS_PHONE_CODE

    @property
    def waits_for_round(self) -> bool:
        """Nothing is under way: a round may be asked for in the reader's name."""
        idle = self.view.phase in {"idle", "round_over"} and not self.view.asked
        return idle and self.view.bot_state in {"waiting_for_pairing", "logged_out"}


def showing(link: OpenedLink, view: PairingView, *, may_ask: bool) -> Showing:
    """What to show.

    Args:
        may_ask: another round may be asked for without the reader's pressing a button.
    """
    shown = Showing(_by_link(link) or _by_bot(view), view)
    if shown.screen == "preparing" and shown.waits_for_round and not may_ask:
        return Showing("round_over", view)
    return shown


def _by_link(link: OpenedLink) -> Screen | None:
    """What a link shows whatever the bot says; None for one that this browser has opened."""
    match link.state:
        case "replaced" | "expired" as ended:
            return ended
        case _ if not link.is_this_browser:
            return "other_browser"
        case "used":
            return "connected"
    return None


def _by_bot(view: PairingView) -> Screen:
    if view.phase == "paired":
        return "connected"
    if (by_state := _BY_BOT_STATE.get(view.bot_state)) is not None:
        return by_state
    match view.phase:
        case "qr" | "phone_code" as code:
            return code
        case "failed" if not view.asked:
            return "failed"
    return "preparing"


def fragment_values(shown: Showing, language: Language, *, path: str, name: str) -> dict[str, Any]:
    """What `pair/live.html.j2` needs."""
    t, view = texts(language), shown.view
    spelled = " ".join(view.code) if shown.screen == "phone_code" else ""
    match shown.screen:
        case "qr":
            announce = t("qr.announce") if view.index == 1 else ""  # not every 20 s
        case "phone_code":
            announce = t("phone.announce", spelled=spelled)
        case screen:
            announce = t(f"title.{screen}")
    return {
        "screen": shown.screen,
        "view": view,
        "svg": Markup(as_svg(view.code, label=t("qr.image"))) if shown.screen == "qr" else "",  # noqa: S704
        "seconds_left": round(view.seconds_left, 2),
        "valid_seconds": max(view.valid_seconds, view.seconds_left),
        "number_shown": format_number(view.number),
        "spelled": spelled,
        "announce": announce,
        "is_final": shown.is_final,
        "offers_phone_code": shown.offers_phone_code,
        "path": path,
        "name": name,
    }


def fragment(shown: Showing, language: Language, *, path: str, name: str) -> str:
    """The part of the page that changes, as HTML."""
    return render("pair/live.html.j2", language, **fragment_values(shown, language, path=path, name=name))
