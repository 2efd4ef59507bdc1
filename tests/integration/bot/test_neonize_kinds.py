"""Every kind of message through the whole bot: the real process, the real neonize, the local server."""

import hashlib
import itertools
from collections.abc import Iterator

import msgspec
import pytest

from orbitbot.contracts.bot import BotSettings
from orbitbot.contracts.commands import RefreshSettings
from orbitbot.contracts.messages import PostMessage
from orbitbot.contracts.reports import Changed, Delivery, SameContact, SetAside, TakenOver
from tests.integration.bot.bot_process import BotProcess
from tests.support.gateway_double import GatewayDouble, Later
from tests.support.net import wait_for
from tests.whatsapp import messages
from tests.whatsapp.handle import WhatsApp
from tests.whatsapp.linking import link

BOT = "5511900000001"
_NUMBERS = itertools.count(1)
SETTINGS = BotSettings(
    config_version=1,
    quiet_seconds=0.2,
    burst_seconds=1.0,
    typing_characters_per_second=0,
    answer_groups=True,
    takeover_minutes=30.0,
    fleet_numbers=["5511900000077"],
)


class Line:
    """A running bot on WhatsApp, and the gateway behind it."""

    def __init__(self, bot: BotProcess, gateway: GatewayDouble, whatsapp: WhatsApp) -> None:
        self.bot, self.gateway, self.whatsapp = bot, gateway, whatsapp

    def posts(self, contact: str) -> list[PostMessage]:
        """What the gateway was asked for a contact, in order."""
        return [each.post for each in self.gateway.turns.values() if each.post.from_ == contact]

    def posted(self, contact: str, count: int = 1) -> list[str]:
        """The texts of a contact's turns, once there are so many."""
        wait_for(lambda: len(self.posts(contact)) >= count, f"{count} turns of {contact}", timeout=60)
        return [each.message for each in self.posts(contact)]

    def answers(self, contact: str) -> list[str]:
        return [each.text for each in self.whatsapp.sent(BOT) if each.to == contact]

    def answered(self, contact: str, count: int = 1) -> list[str]:
        """What has reached a contact, once there is so much."""
        wait_for(lambda: len(self.answers(contact)) >= count, f"{count} answers to {contact}", timeout=60)
        return self.answers(contact)


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """One bot for all tests of this file: linking one costs 812 keys."""
    with GatewayDouble(settings=SETTINGS) as gateway, WhatsApp() as whatsapp:
        bot = BotProcess(tmp_path_factory.mktemp("kinds"), gateway, "neonize", whatsapp.environment())
        link(whatsapp, bot.state, BOT)
        bot.start()
        wait_for(lambda: any(each.state == "connected" for each in gateway.statuses), "connected", timeout=60)
        wait_for(lambda: whatsapp.is_ready(BOT), "ready", timeout=60)
        yield Line(bot, gateway, whatsapp)
        bot.clean_up()
        assert gateway.wrong == []
        assert whatsapp.unreadable() == []


@pytest.fixture
def ana() -> str:
    """A contact of the test's own."""
    return f"55219888{next(_NUMBERS):05d}"


def jid(number: str) -> str:
    return f"{number}@s.whatsapp.net"


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (
            messages.place(-23.55052, -46.633308, "Padaria", "Rua Augusta, 1"),
            "[enviou uma localização: Padaria; Rua Augusta, 1; -23.550520, -46.633308]",
        ),
        (messages.card("Beto", "5521977776666"), "[enviou um contato: Beto; 5521977776666]"),
        (
            messages.document("orçamento.pdf", "application/pdf", "está certo?"),
            "[enviou um documento: orçamento.pdf; application/pdf]\nestá certo?",
        ),
        (messages.video(), "[enviou um vídeo]"),
        (messages.video("dá para fazer assim?"), "[enviou um vídeo]\ndá para fazer assim?"),
        (
            messages.reply("quero este", "X1", jid(BOT), "Temos bolo de fubá"),
            "[em resposta a: “Temos bolo de fubá”]\nquero este",
        ),
    ],
    ids=["place", "contact", "document", "video", "video with words", "reply"],
)
def test_what_has_no_words_is_described(line: Line, ana: str, message: bytes, told: str) -> None:
    line.whatsapp.say_raw(BOT, ana, message)
    assert line.posted(ana) == [told]
    assert line.answered(ana)


def test_a_picture_is_described_and_its_caption_kept(line: Line, ana: str) -> None:
    line.whatsapp.photograph(BOT, ana, b"\xff\xd8 a picture", "quanto custa?")
    assert line.posted(ana) == ["[enviou uma imagem]\nquanto custa?"]


@pytest.mark.parametrize(
    ("recorded", "told"), [(True, ""), (False, "[enviou um arquivo de áudio]")], ids=["note", "file"]
)
def test_a_file_with_sound_is_no_voice_note(line: Line, ana: str, *, recorded: bool, told: str) -> None:
    sound = b"OggS" + ana.encode() * 500
    message_id = line.whatsapp.record(BOT, ana, sound, recorded=recorded)
    assert line.posted(ana) == [""]
    turn = next(each for each in line.gateway.turns.values() if each.post.from_ == ana)
    assert [(each.type, each.text) for each in turn.post.members] == [("voice", told)]
    assert turn.notes[message_id] == hashlib.sha256(sound).hexdigest()


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (messages.sticker(), "[enviou uma figurinha]"),
        (messages.reaction("👍", "X1", jid(BOT), own=False), "[reagiu com 👍]"),
        (messages.poll("Que dia?", "sexta", "sábado"), "[enviou uma enquete: Que dia?; sexta / sábado]"),
    ],
    ids=["sticker", "reaction", "poll"],
)
def test_what_is_not_answered_is_told_as_context(line: Line, ana: str, message: bytes, told: str) -> None:
    line.whatsapp.say_raw(BOT, ana, message)
    report = wait_for(
        lambda: next(
            (each for each in line.gateway.reports if isinstance(each, SetAside) and each.from_ == ana), None
        ),
        "it is reported",
        timeout=60,
    )
    assert (report.reason, report.text) == ("not_answered", told)
    assert line.posts(ana) == []


@pytest.mark.parametrize("wrapped", [True, False])
def test_an_edit_before_the_answer_is_made_changes_the_question(
    line: Line,
    ana: str,
    wrapped: bool,  # noqa: FBT001  (a parameter)
) -> None:
    line.gateway.script("messages", Later(60.0))
    message_id = line.whatsapp.say(BOT, ana, "tem pão de queijo?")
    assert line.posted(ana) == ["tem pão de queijo?"]
    (first,) = [each.id for each in line.gateway.turns.values() if each.post.from_ == ana]
    line.whatsapp.say_raw(BOT, ana, messages.edit(message_id, jid(BOT), "tem pão francês?", wrapped=wrapped))
    assert line.posted(ana, 2)[1:] == ["tem pão francês?"]
    assert line.posts(ana)[1].replaces == [first]
    assert line.answered(ana) == ["Resposta a: tem pão francês?"]
    wait_for(lambda: line.gateway.deliveries(first) == ["silenced"], "the first turn is given up")


def test_what_is_taken_back_before_the_answer_is_not_answered(line: Line, ana: str) -> None:
    line.gateway.script("messages", Later(60.0))
    message_id = line.whatsapp.say(BOT, ana, "esqueça")
    line.posted(ana)
    line.whatsapp.say_raw(BOT, ana, messages.deletion(message_id, jid(BOT)))
    wait_for(lambda: line.gateway.set_aside().get(message_id) == "deleted", "it is reported", timeout=60)
    assert line.answers(ana) == []


def test_an_edit_after_the_answer_is_told(line: Line, ana: str) -> None:
    message_id = line.whatsapp.say(BOT, ana, "às 5")
    line.answered(ana)
    line.whatsapp.say_raw(BOT, ana, messages.edit(message_id, jid(BOT), "às 6"))
    changed = wait_for(
        lambda: next(
            (
                each
                for each in line.gateway.reports
                if isinstance(each, Changed) and each.message_id == message_id
            ),
            None,
        ),
        "it is reported",
        timeout=60,
    )
    assert (changed.old, changed.new) == ("às 5", "às 6")
    assert len(line.posts(ana)) == 1


def test_nobody_edits_what_another_wrote(line: Line, ana: str) -> None:
    stranger = ana.replace("55219888", "55219777")
    message_id = line.whatsapp.say(BOT, ana, "meu pedido")
    line.answered(ana)
    line.whatsapp.say_raw(BOT, stranger, messages.edit(message_id, jid(BOT), "outro pedido"))
    line.whatsapp.say(BOT, stranger, "oi")
    line.answered(stranger)
    assert not [
        each for each in line.gateway.reports if isinstance(each, Changed) and each.message_id == message_id
    ]


def test_in_a_group_only_what_is_meant_for_it_is_answered(line: Line, ana: str) -> None:
    group = line.whatsapp.group("Vizinhos", [ana, BOT])
    line.whatsapp.say(BOT, ana, "conversa entre vizinhos", group=group)
    meant = line.whatsapp.say_raw(BOT, ana, messages.mention("@bot abre hoje?", jid(BOT)), group=group)
    line.posted(f"{group}@g.us")
    assert line.posts(f"{group}@g.us")[0].message == "@bot abre hoje?"
    (sent,) = wait_for(
        lambda: [each for each in line.whatsapp.sent(BOT) if each.to == group],
        "an answer in the group",
        timeout=60,
    )
    assert sent.quote == meant
    line.whatsapp.say_raw(BOT, ana, messages.reply("e amanhã?", sent.id, jid(BOT), sent.text), group=group)
    line.posted(f"{group}@g.us", 2)
    assert len(line.posts(f"{group}@g.us")) == 2


def test_a_number_and_its_lid_are_one_contact(line: Line, ana: str) -> None:
    lid = line.whatsapp.contact(ana, naming="lid_only")
    line.whatsapp.say(BOT, ana, "oi, sou a Ana")
    first = wait_for(
        lambda: line.posts(f"{lid}@lid") or line.posts(ana),
        "it is posted under one name or the other",
        timeout=60,
    )
    line.whatsapp.contact(ana, naming="lid")
    wait_for(lambda: len(line.answers(ana)) == 1, "answered", timeout=60)
    line.whatsapp.say(BOT, ana, "de novo")
    assert line.posted(ana)[-1] == "de novo"
    if first[0].from_ != ana:
        same = [each for each in line.gateway.reports if isinstance(each, SameContact)]
        assert [(each.contact, each.other) for each in same] == [(ana, f"{lid}@lid")]
    line.whatsapp.contact(ana, naming="lid_only")
    line.whatsapp.say(BOT, ana, "mais uma vez")
    wait_for(
        lambda: [each.message for each in line.posts(ana)][-1] == "mais uma vez",
        "under the number",
        timeout=60,
    )


def test_a_person_takes_over_while_the_answer_is_made(line: Line, ana: str) -> None:
    line.gateway.script("messages", Later(60.0))
    line.whatsapp.say(BOT, ana, "posso falar com alguém?")
    line.posted(ana)
    line.whatsapp.say_from_own_phone(BOT, ana, "Oi Ana, aqui é o Beto")
    taken = wait_for(
        lambda: next(
            (each for each in line.gateway.reports if isinstance(each, TakenOver) and each.contact == ana),
            None,
        ),
        "it is reported",
        timeout=60,
    )
    assert (taken.text, taken.minutes) == ("Oi Ana, aqui é o Beto", 30.0)
    turn = next(each.id for each in line.gateway.turns.values() if each.post.from_ == ana)
    wait_for(lambda: line.gateway.deliveries(turn) == ["silenced"], "the turn is given up", timeout=60)
    given_up = next(each for each in line.gateway.reports if isinstance(each, Delivery) and each.turn == turn)
    assert given_up.reason == "human_took_over"


def test_the_fleets_own_numbers_are_not_answered_by_their_other_name_either(line: Line, ana: str) -> None:
    """Each bot tells its LID, and the gateway gives it to the others."""
    own = f"{line.whatsapp.contact(BOT)}@lid"
    wait_for(lambda: line.gateway.statuses[-1].lid == own, "the bot tells its own LID", timeout=60)
    other = f"{line.whatsapp.contact(ana, naming='lid_only')}@lid"
    line.gateway.settings = msgspec.structs.replace(
        SETTINGS, fleet_numbers=[*SETTINGS.fleet_numbers, other], config_version=2
    )
    line.gateway.give(RefreshSettings())
    wait_for(lambda: '"version":2' in line.bot.log.read_text(), "the bot has the settings", timeout=60)
    message_id = line.whatsapp.say(BOT, ana, "olá, sou um robô")
    wait_for(lambda: line.gateway.set_aside().get(message_id) == "fleet_number", "set aside", timeout=60)


def test_the_fleets_own_numbers_are_not_answered(line: Line, ana: str) -> None:
    message_id = line.whatsapp.say(BOT, "5511900000077", "olá, sou um robô")
    wait_for(lambda: line.gateway.set_aside().get(message_id) == "fleet_number", "set aside", timeout=60)
