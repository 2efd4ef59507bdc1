"""Plugins over the whole way of a turn: chats handed over, silence, fixed answers, tools, the cache."""

import concurrent.futures
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.ai import Ai, running
from tests.support.keys import Keys
from tests.support.net import wait_for
from tests.support.openai_server import calls_tools, says
from tests.support.postgres import Cluster
from tests.support.redis import RedisServer

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def running_ai(
    cluster: Cluster, keys: Keys, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ai]:
    """A service with a cache."""
    redis_server.flush()
    with running(tmp_path_factory.mktemp("plugins"), cluster, keys, redis=redis_server) as ai:
        yield ai


def rows(ai: Ai, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with ai.database.connect("postgres") as connection:
        return connection.execute(statement.encode(), values).fetchall()


def test_a_chat_is_handed_over_and_the_assistant_is_silent(ai: Ai) -> None:
    ai.add_client("mao", plugins={"hand-over": {"enabled": True}})
    ai.enter_key()
    answer = ai.chat("mao", "quero falar com uma pessoa", turn="t1", contact="1")
    assert answer.source == "plugin"
    assert "equipe" in answer.response
    silent = ai.chat("mao", "oi?", turn="t2", contact="1")
    assert (silent.response, silent.source, silent.silenced) == ("", "silenced", "human_took_over")
    again = ai.chat("mao", "oi?", turn="t2", contact="1")
    assert (again.repeated, again.silenced) == (True, "human_took_over")
    assert ai.chat("mao", "oi!", turn="t3", contact="2").source == "provider", "other chats go on"
    assert rows(ai, "SELECT kind, contact, data FROM client_events WHERE client_id = 'mao'") == [
        ("human_asked", "1", {"why": "asked by the contact"})
    ]
    with ai.database.connect("postgres") as connection:
        connection.execute("UPDATE paused_chats SET until = now() - interval '1 second'")
    assert ai.chat("mao", "oi?", turn="t4", contact="1").source == "provider", "the pause is over"
    said = [m["content"] for m in ai.provider.requests[-1].messages[:-1]]
    assert said.count("oi?") == 1, "what was said while a person had the chat is remembered"


def test_the_model_may_hand_a_chat_over(ai: Ai) -> None:
    ai.add_client("ferramenta", plugins={"hand-over": {"enabled": True}})
    ai.enter_key()
    ai.provider.replies.extend(
        [
            calls_tools(("hand_over_to_person", json.dumps({"reason": "wants a refund"}))),
            says("Já chamei alguém."),
        ]
    )
    answer = ai.chat("ferramenta", "quero meu dinheiro de volta", turn="t1", contact="1")
    assert (answer.response, answer.source) == ("Já chamei alguém.", "provider")
    assert answer.prompt_tokens == 240, "both calls are counted"
    assert rows(ai, "SELECT data->>'why' FROM client_events WHERE client_id = 'ferramenta'") == [
        ("wants a refund",)
    ]
    assert ai.chat("ferramenta", "e aí?", turn="t2", contact="1").silenced == "human_took_over"


def test_admin_numbers_pause_and_resume_a_chat(ai: Ai) -> None:
    ai.add_client("dona", plugins={"admin": {"enabled": True, "numbers": ["+55 11 90000-0009"]}})
    ai.enter_key()
    admin, contact = "5511900000009", "5511900000001@s.whatsapp.net"
    ai.chat("dona", "oi", turn="t1", contact=contact)
    assert ai.chat("dona", "/pause 5511900000001", turn="a1", contact=admin).source == "plugin"
    assert ai.chat("dona", "oi", turn="t2", contact=contact).silenced == "human_took_over"
    ai.chat("dona", "/resume 5511900000001", turn="a2", contact=admin)
    assert ai.chat("dona", "oi", turn="t3", contact=contact).source == "provider"
    assert "/pause" in ai.chat("dona", "/help", turn="a3", contact=admin).response
    assert ai.chat("dona", "/pause 5511900000001", turn="t4", contact=contact).source == "provider", (
        "no admin"
    )


def test_fixed_answers_ask_no_model(ai: Ai) -> None:
    ai.add_client(
        "fixas",
        plugins={"keywords": {"enabled": True, "rules": [{"keywords": ["pix"], "reply": "Chave: loja"}]}},
    )
    ai.enter_key()
    answer = ai.chat("fixas", "qual o PIX?", turn="t1", contact="1")
    assert (answer.response, answer.source) == ("Chave: loja", "plugin")
    assert ai.provider.requests == []


def test_out_of_hours_there_may_be_silence(ai: Ai) -> None:
    never = [{"days": ["mon"], "opens": "00:00", "closes": "00:01"}]
    ai.add_client(
        "dorme",
        business={"hours": never},
        plugins={"business-hours": {"enabled": True, "whenClosed": "silence"}},
    )
    assert ai.chat("dorme", "oi", turn="t1", contact="1").silenced == "out_of_hours"
    assert rows(ai, "SELECT source, silenced_reason FROM exchanges WHERE client_id = 'dorme'") == [
        ("silenced", "out_of_hours")
    ]


def test_plugins_are_listed_and_their_settings_checked(ai: Ai) -> None:
    listed = ai.http.post("/api/plugins").json()["plugins"]
    assert [each["name"] for each in listed] == ["admin", "business-hours", "clock", "hand-over", "keywords"]
    wrong = {"plugins": {"keywords": {"rules": 7}, "none": {}}}
    problems = ai.http.post("/api/check-plugins", json=wrong).json()["problems"]
    assert [each["field"] for each in problems] == [
        "settings.plugins.keywords.rules",
        "settings.plugins.none",
    ]


class TestCache:
    """Answers that are given again."""

    def test_the_same_question_is_answered_once(self, ai: Ai) -> None:
        ai.add_client("lembra")
        ai.enter_key()
        first = ai.chat("lembra", "Vocês entregam?", turn="t1", contact="1")
        second = ai.chat("lembra", "vocês  ENTREGAM", turn="t2", contact="2")
        assert (first.source, second.source) == ("provider", "cache")
        assert (second.response, second.cost_usd, second.prompt_tokens) == (first.response, 0.0, 0)
        assert len(ai.provider.requests) == 1

    def test_another_version_of_the_configuration_asks_anew(self, ai: Ai) -> None:
        ai.add_client("muda")
        ai.enter_key()
        ai.chat("muda", "Vocês entregam?")
        ai.configure("muda", faq=[("a?", "b")])
        wait_for(lambda: ai.chat("muda", "Vocês entregam?").source == "provider", "the new version", 10)

    def test_whoever_has_a_history_is_answered_by_it(self, ai: Ai) -> None:
        ai.add_client("conversa")
        ai.enter_key()
        ai.chat("conversa", "Vocês entregam?", turn="t1", contact="1")
        assert ai.chat("conversa", "Vocês entregam?", turn="t2", contact="1").source == "provider"

    def test_off_by_a_setting(self, ai: Ai) -> None:
        ai.add_client("sem", cacheAnswers=False)
        ai.enter_key()
        assert [ai.chat("sem", "Vocês entregam?").source for _ in range(2)] == ["provider"] * 2

    def test_clients_do_not_share(self, ai: Ai) -> None:
        ai.enter_key()
        for client in ("uma", "outra"):
            ai.add_client(client)
            assert ai.chat(client, "Vocês entregam?").source == "provider"

    def test_without_redis_everything_goes_on(self, ai: Ai, redis_server: RedisServer) -> None:
        ai.add_client("offline-redis")
        ai.enter_key()
        redis_server.stop()
        try:
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                answers = list(pool.map(lambda _: ai.chat("offline-redis", "Vocês entregam?"), range(4)))
            assert {answer.source for answer in answers} == {"provider"}
        finally:
            redis_server.start()


def test_long_conversations_are_summarised_behind_the_answer(ai: Ai) -> None:
    ai.add_client("longa", historyTokens=120, cacheAnswers=False)
    ai.enter_key()
    notes = "NOTAS: quer três bolos."

    def reply(handler: Any) -> None:
        says(notes if "older part of a chat" in handler.asked.text else "Certo!")(handler)

    ai.provider.default = reply
    for number in range(8):
        ai.chat("longa", f"mensagem {number} " + "palavra " * 10, turn=f"t{number}", contact="1")
    wait_for(lambda: rows(ai, "SELECT text FROM summaries WHERE client_id = 'longa'"), "a summary", 10)
    wait_for(
        lambda: ai.chat("longa", "e agora?", contact="1", turn=f"u{len(ai.provider.requests)}")
        and any("NOTAS" in str(each.messages[1]["content"]) for each in ai.provider.requests),
        "the summary is in the prompt",
        10,
    )  # fmt: skip
    statement = "SELECT purpose, count(*) FROM ai_calls WHERE client_id = 'longa' GROUP BY purpose"
    purposes = dict(rows(ai, statement))
    assert purposes["summary"] >= 1
