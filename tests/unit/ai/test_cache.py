"""Which answers may be given again."""

import pytest

from orbitbot.ai.cache import AnswerCache, is_safe, normalised
from orbitbot.ai.metrics import DESCRIBED, Metrics
from orbitbot.ai.models import Memory, PastExchange, Profile, Question
from orbitbot.contracts.configure import ClientSettings

PROFILE = Profile("padaria", "3/x", "Padaria", "pt", "UTC", "p", ClientSettings())


def question(message: str, **fields: object) -> Question:
    return Question(PROFILE, message, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "message",
    ["Qual é o preço do arroz?", "Vocês entregam?", "do you deliver", "pacote de 2", "Aceita cartão?"],
)
def test_what_is_safe(message: str) -> None:
    assert is_safe(question(message))


@pytest.mark.parametrize(
    "message",
    [
        "Estão abertos agora?", "Abre hoje?", "qual o horário de amanhã", "are you open", "e meu pedido?",
        "my order is late", "meu cpf é 123.456.789-00", "pedido 48213", "maria@example.com",
        "veja https://x.br/a",
        "5511 99999-0001", "", "?!", "a " * 150,
    ],
)  # fmt: skip
def test_what_asks_for_this_moment_or_this_person_is_not(message: str) -> None:
    assert not is_safe(question(message))


def test_what_is_remembered_of_the_contact_makes_it_unsafe() -> None:
    for memory in (Memory((PastExchange("q", "a"),)), Memory(summary="s"), Memory(facts=("f",))):
        assert not is_safe(question("Vocês entregam?", memory=memory))
    assert not is_safe(question("Vocês entregam?", spoken=True))


def test_normalising_keeps_what_tells_questions_apart() -> None:
    assert normalised("  Qual é o PREÇO, do arroz?? ") == normalised("qual é o preço do arroz")
    different = ["pacote de 2", "pacote de 5", "avó", "avô", "não entrega", "entrega", "café", "cafe"]
    assert len({normalised(each) for each in different}) == len(different)


def test_everything_that_may_change_an_answer_is_in_the_key() -> None:
    redis = object()
    cache = AnswerCache(redis, Metrics(DESCRIBED))  # type: ignore[arg-type]
    asked = question("Vocês entregam?")
    key = cache.key(asked, ())
    assert key is not None
    assert key.startswith("client:padaria:answer:")
    assert key == cache.key(question("vocês entregam"), ())
    keys = {key, cache.key(asked, ("fact",)), cache.key(question("Vocês vendem?"), ())}
    for change in ({"revision": "4/x"}, {"client_id": "acme"}, {"language": "en"}, {"timezone": "Asia/Tokyo"},
                   {"name": "Other"}):  # fmt: skip
        fields = {name: getattr(PROFILE, name) for name in PROFILE.__struct_fields__} | change
        keys.add(cache.key(Question(Profile(**fields), "Vocês entregam?"), ()))
    assert len(keys) == 8


def test_no_key_where_it_is_off() -> None:
    off = Profile("padaria", "1", "P", "pt", "UTC", "", ClientSettings(cache_answers=False))
    assert AnswerCache(object(), Metrics(DESCRIBED)).key(Question(off, "Vocês entregam?"), ()) is None  # type: ignore[arg-type]
    assert AnswerCache(None, Metrics(DESCRIBED)).key(question("Vocês entregam?"), ()) is None
