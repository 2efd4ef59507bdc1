"""Linking a phone in a terminal, against a scripted pairing."""

import io
import itertools

from orbitbot.contracts.pairing import PairingView
from orbitbot.pairing.terminal import Drawing, follow


class Scripted:
    """Gives one view after the other, the last one for ever, and notes what is asked for."""

    def __init__(self, *views: PairingView) -> None:
        self.views = list(views)
        self.asked: list[str] = []

    def read(self) -> PairingView:
        return self.views.pop(0) if len(self.views) > 1 else self.views[0]

    def begin(self) -> None:
        self.asked.append("round")

    def request_phone_code(self, number: str) -> None:
        self.asked.append(number)


def view(phase: str, bot: str = "waiting_for_pairing", **fields: object) -> PairingView:
    return PairingView(client_id="padaria", phase=phase, bot_state=bot, **fields)  # type: ignore[arg-type]


def qr(text: str, seconds: float = 20.0, **fields: object) -> PairingView:
    return view("qr", code=text, seconds_left=seconds, index=1, codes=6, round=1, **fields)


def run(*views: PairingView, phone: str = "", in_place: bool = False) -> tuple[bool, str, list[str]]:
    pairing, out, clock = Scripted(*views), io.StringIO(), iter(range(1000))
    done = follow(
        pairing,
        Drawing(out, in_place=in_place),
        phone=phone,
        seconds=30,
        sleep=lambda _: None,
        now=lambda: float(next(clock)),
    )
    return done, out.getvalue(), pairing.asked


def test_until_the_phone_is_linked() -> None:
    done, shown, asked = run(view("idle"), qr("one"), qr("one", 19.2), view("paired", number="5511912345678"))
    assert done
    assert asked == ["round"]
    assert shown.count("valid for another") == 1  # below each other, a code is drawn once
    assert shown.endswith("padaria is connected: +55 11 91234-5678\n")


def test_in_place_every_look_is_drawn_over_the_last() -> None:
    _, shown, _ = run(qr("one"), qr("one", 19.2), qr("two"), view("paired"), in_place=True)
    frames = shown.split("\x1b[J")
    assert len(frames) == 4
    assert "valid for another 20 s" in frames[1]
    for before, after in itertools.pairwise(frames):
        back = before[before.rindex("\x1b[") :]
        drawn = before[: before.rindex("\x1b[")].count("\n")
        assert back == f"\x1b[{drawn}F"
        assert after


def test_a_new_round_is_asked_for_when_one_is_over_and_nothing_is_asked_yet() -> None:
    _, _, asked = run(view("round_over"), view("round_over", asked=True), qr("one"), view("paired"))
    assert asked == ["round"]


def test_a_phone_code_is_asked_for_once() -> None:
    code = view("phone_code", code="ABCD1234", number="5511912345678", seconds_left=100.0)
    done, shown, asked = run(qr("one"), code, code, view("paired"), phone="5511912345678")
    assert done
    assert asked == ["5511912345678"]
    assert "ABCD-1234" in shown


def test_what_cannot_work_ends_with_its_reason() -> None:
    for last, says in [
        (view("failed", failure="too_many_attempts", detail="429"), "too_many_attempts 429"),
        (view("idle", "banned", bot_reason="for a day"), "locked this number for a day"),
        (view("idle", "unknown"), "within 30 s"),
    ]:
        done, shown, _ = run(last)
        assert not done
        assert says in shown


def test_an_earlier_failure_does_not_end_a_phone_code_that_was_not_asked_for_yet() -> None:
    failed = view("failed", failure="phone_code_refused")
    code = view("phone_code", code="ABCD1234", number="5511912345678", seconds_left=100.0)
    done, _, asked = run(failed, code, view("paired"), phone="5511912345678")
    assert (done, asked) == (True, ["5511912345678"])
