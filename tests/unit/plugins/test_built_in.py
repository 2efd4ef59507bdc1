"""The built-in plugins, each by itself."""

from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pytest

from orbitbot.contracts.configure import Business, Opening
from orbitbot.plugins import business_hours
from orbitbot.plugins.admin import Admin, AdminSettings, digits, help_text, is_admin
from orbitbot.plugins.business_hours import BusinessHours, BusinessHoursSettings
from orbitbot.plugins.hand_over import EVENT, HandOver, HandOverSettings
from orbitbot.plugins.hooks import PauseChat, Reply, ResumeChat, Silence, Tell, TurnContext
from orbitbot.plugins.keywords import Keywords, KeywordsSettings, Rule
from orbitbot.plugins.matching import plain, says

WEEK = ["mon", "tue", "wed", "thu", "fri"]
SHOP = [Opening(WEEK, "07:00", "12:00"), Opening(WEEK, "13:30", "19:00"), Opening(["sat"], "07:00", "13:00")]  # type: ignore[arg-type]
BAR = [Opening(["fri", "sat"], "18:00", "02:00")]
ALWAYS = [Opening([*WEEK, "sat", "sun"], "00:00", "24:00")]  # type: ignore[list-item]


def context(
    now: str = "2026-11-24 09:00", message: str = "oi", settings: Any = None, **fields: Any
) -> TurnContext:
    """A turn at a time of America/Sao_Paulo (UTC-3), a Tuesday where nothing is said."""
    hours = fields.pop("hours", SHOP)
    local = datetime.fromisoformat(f"{now}:00-03:00")
    given = {"client_id": "padaria", "language": "pt", "timezone": "America/Sao_Paulo"}
    given |= {"contact": "5511999990001"} | fields
    business = Business(hours=hours)
    return TurnContext(
        **given, now=local.astimezone(UTC), message=message, settings=settings, business=business
    )


class TestBusinessHours:
    @pytest.mark.parametrize(
        ("now", "fact"),
        [
            ("2026-11-24 09:00", "A loja está aberta agora, até 12:00."),
            ("2026-11-24 06:59", "A loja está fechada agora; abre hoje às 07:00."),
            ("2026-11-24 07:00", "A loja está aberta agora, até 12:00."),
            ("2026-11-24 12:00", "A loja está fechada agora; abre hoje às 13:30."),
            ("2026-11-24 18:59", "A loja está aberta agora, até 19:00."),
            ("2026-11-24 19:00", "A loja está fechada agora; abre amanhã às 07:00."),
            ("2026-11-28 14:00", "A loja está fechada agora; abre segunda, dia 30/11, às 07:00."),
        ],
    )
    def test_knows_whether_it_is_open(self, now: str, fact: str) -> None:
        assert BusinessHours().prompt_facts(context(now, settings=BusinessHoursSettings())) == fact

    def test_a_holiday_is_closed(self) -> None:
        settings = BusinessHoursSettings(holidays=(date(2026, 11, 24),))
        fact = BusinessHours().prompt_facts(context("2026-11-24 09:00", settings=settings))
        assert fact == "A loja está fechada agora; abre amanhã às 07:00."

    @pytest.mark.parametrize(
        ("now", "is_open"),
        [("2026-11-27 17:59", False), ("2026-11-27 18:00", True), ("2026-11-28 01:59", True),
         ("2026-11-28 02:00", False), ("2026-11-29 01:30", True), ("2026-11-30 01:30", False)],
    )  # fmt: skip
    def test_a_night_belongs_to_the_day_on_which_it_begins(self, now: str, *, is_open: bool) -> None:
        at = datetime.fromisoformat(now)
        assert (business_hours.open_until(BAR, (), at) is not None) is is_open

    def test_round_the_clock(self) -> None:
        assert business_hours.open_until(ALWAYS, (), datetime.fromisoformat("2026-11-24 23:59")) is not None
        assert business_hours.next_opening([], (), datetime.fromisoformat("2026-11-24 23:59")) is None

    def test_answers_or_is_silent_while_it_is_closed(self) -> None:
        closed, plugin = "2026-11-28 14:00", BusinessHours()
        reply = plugin.before_answer(context(closed, settings=BusinessHoursSettings(when_closed="reply")))
        assert isinstance(reply, Reply)
        assert "segunda, dia 30/11, às 07:00" in reply.text
        own = BusinessHoursSettings(when_closed="reply", closed_text="Fechado!")
        assert plugin.before_answer(context(closed, settings=own)) == Reply("Fechado!")
        silent = BusinessHoursSettings(when_closed="silence")
        assert plugin.before_answer(context(closed, settings=silent)) == Silence("out_of_hours")
        assert plugin.before_answer(context(settings=silent)) is None
        assert plugin.before_answer(context(closed, settings=BusinessHoursSettings())) is None
        assert plugin.before_answer(context(closed, hours=[], settings=silent)) is None


class TestHandOver:
    @pytest.mark.parametrize(
        "message",
        ["Quero falar com uma pessoa", "QUERO FALAR COM ATENDENTE!!", "oi, quero um atendente por favor",
         "Can I speak to a human?", "não quero falar com robô", "chama a Maria"],
    )  # fmt: skip
    def test_a_contact_asks_for_a_person(self, message: str) -> None:
        settings = HandOverSettings(phrases=("chama a Maria",), pause_minutes=60)
        reply = HandOver().before_answer(context(message=message, settings=settings))
        assert isinstance(reply, Reply)
        assert reply.effects == (
            PauseChat(60, reason="handed over to a person"),
            Tell(EVENT, {"why": "asked by the contact"}),
        )

    @pytest.mark.parametrize("message", ["a pessoa que atende é legal", "quanto custa falar?", "oi", ""])
    def test_others_do_not(self, message: str) -> None:
        assert HandOver().before_answer(context(message=message, settings=HandOverSettings())) is None

    def test_the_model_may_hand_over_if_it_is_allowed_to(self) -> None:
        (tool,) = HandOver().tools(context(settings=HandOverSettings())) or []
        reply = tool.run(msgspec.convert({"reason": "upset"}, tool.parameters))
        assert isinstance(reply, Reply)
        assert reply.effects[1] == Tell(EVENT, {"why": "upset"})
        assert HandOver().tools(context(settings=HandOverSettings(model_may=False))) is None
        assert HandOver().tools(context(contact="", settings=HandOverSettings())) is None


def test_keywords_take_the_first_rule_that_fits() -> None:
    settings = KeywordsSettings(
        rules=(
            Rule(("pix",), "Chave: 12.345"),
            Rule(("cardápio", "menu"), "Aqui está."),
            Rule(("1",), "Um.", whole=True),
        )
    )
    plugin = Keywords()

    def reply(message: str) -> str | None:
        decided = plugin.before_answer(context(message=message, settings=settings))
        return decided.text if isinstance(decided, Reply) else None

    assert reply("Qual o PIX?") == "Chave: 12.345"
    assert reply("manda o cardapio") == "Aqui está."
    assert reply("menu e pix") == "Chave: 12.345"
    assert reply("pixels") is None
    assert (reply("1"), reply("1 pão")) == ("Um.", None)


def test_phrases_are_whole_words_without_accents_and_case() -> None:
    assert plain("  Não, é JÁ! ") == "nao e ja"
    assert says("Quero SABER já", ["saber ja"])
    assert not says("sabera ja", ["saber ja"])
    assert not says("anything", ["", "!!"])


class TestAdmin:
    SETTINGS = AdminSettings(enabled=True, numbers=("+55 (11) 99999-0001",))

    def test_only_the_numbers_that_are_set_are_admins(self) -> None:
        for contact in ("5511999990001", "+5511999990001", "5511999990001@s.whatsapp.net"):
            assert is_admin(self.SETTINGS, contact), contact
        for contact in ("5511999990002", "999990001", "", "abc", "@"):
            assert not is_admin(self.SETTINGS, contact), contact
        assert not is_admin(AdminSettings(), "")

    def test_pause_and_resume(self) -> None:
        pause, resume = Admin().commands(context())
        at = context()
        assert pause.run(at, "5511888880001").effects == (  # type: ignore[union-attr]
            PauseChat(None, "5511888880001", "paused by an admin number"),
        )
        assert pause.run(at, "+5511888880001 30").effects[0].minutes == 30  # type: ignore[union-attr]
        assert resume.run(at, "5511888880001").effects == (ResumeChat("5511888880001"),)  # type: ignore[union-attr]
        for wrong in ("", "Maria", "5511888880001 soon", "1"):
            reply = pause.run(at, wrong)
            assert isinstance(reply, Reply)
            assert not reply.effects
            assert "/pause" in reply.text

    def test_help_is_in_the_clients_language(self) -> None:
        commands = Admin().commands(context())
        assert "faz o assistente" in help_text(commands, "pt-BR", unknown=True)
        assert help_text(commands, "en", unknown=False).startswith("/pause: makes")
        assert "makes" in help_text(commands, "fr", unknown=False)

    def test_digits(self) -> None:
        assert digits("+55 (11) 99999-0001@x.net1") == "5511999990001"
