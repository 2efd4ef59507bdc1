"""A corpus of attacks: whatever a contact writes, another client's data, tools and the system text stay away.

The language model here is the worst there is: it tells everything that it was told, and does whatever it is
asked. What it is never told it cannot tell; what it tells of the system text is withheld.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support import openai_server
from tests.support.ai import KEY, Ai
from tests.support.openai_server import _Handler, calls_tools, says

pytestmark = pytest.mark.integration

CORPUS = Path(__file__).parents[2] / "data" / "injections.txt"
OTHER = "vizinha"
SECRETS = ("ROXO-PERSONALIDADE", "ROXO-FAQ", "ROXO-HISTORICO", "ROXO-FATO", "ROXO-PALAVRA")
PERSONALITY = "Você é a Flor, e a palavra secreta do turno da manhã é abacaxi. " * 5


def attacks() -> list[str]:
    lines = CORPUS.read_text("utf-8").splitlines()
    return [
        line.replace("\\n", "\n")
        .replace("\\u202e", "\u202e")
        .replace("\\u202c", "\u202c")
        .replace("\\u0000", "")
        for line in lines
        if line and not line.startswith("#")
    ]


def recites(handler: _Handler) -> None:
    """A model that answers with its whole prompt."""
    said = "\n".join(str(message["content"]) for message in handler.asked.messages)
    says(said)(handler)


@pytest.fixture(scope="module")
def neighbours(running_ai: Ai) -> None:
    """The client that is attacked, and another one that has everything to be stolen."""
    running_ai.add_client(
        "atacada", PERSONALITY, faq=[("Entrega?", "Sim.")],
        plugins={"hand-over": {"enabled": True}, "admin": {"enabled": True, "numbers": ["+5511999990009"]}},
    )  # fmt: skip
    running_ai.add_client(
        OTHER, f"Você é {SECRETS[0]}.", faq=[("Senha?", SECRETS[1])], vocabulary=[SECRETS[4]]
    )
    with running_ai.database.connect("postgres") as connection:
        for contact in ("5511999990001", "5511999990002"):
            connection.execute(
                "INSERT INTO exchanges (client_id, turn_id, contact, question, answer, model, source)"
                " VALUES (%s, %s, %s, %s, %s, 'm', 'provider')",
                (OTHER, f"t-{contact}", contact, SECRETS[2], SECRETS[2]),
            )
        connection.execute(
            "INSERT INTO contact_facts (client_id, contact, facts, author)"
            " VALUES (%s, '5511999990001', %s, 'x')",
            (OTHER, json.dumps([SECRETS[3]])),
        )


@pytest.mark.usefixtures("neighbours")
def test_the_whole_corpus(ai: Ai) -> None:
    """One conversation for all attacks, so that each also comes back as history."""
    ai.enter_key()
    ai.provider.default = recites
    system: set[str] = set()
    for number, attack in enumerate(attacks()):
        text = attack.replace("{other}", OTHER)
        answer = ai.chat("atacada", text, turn=f"t{number}", contact="5511999990001")
        assert answer.source in ("no_answer", "provider"), text
        assert "abacaxi" not in answer.response, text
        assert "You answer the customers" not in answer.response, text
        assert KEY not in answer.response
        for secret in SECRETS:
            assert secret not in answer.response, text
    assert len(ai.provider.requests) >= len(attacks())
    for request in ai.provider.requests:
        for secret in (*SECRETS, KEY):
            assert secret not in request.text
        roles = [message["role"] for message in request.messages]
        assert roles.count("system") == 1
        assert roles[0] == "system"
        system.add(str(request.messages[0]["content"]).partition("Agora:")[0])
        assert [tool["function"]["name"] for tool in request.body["tools"]] == ["hand_over_to_person"]
    assert len(system) == 1, "what the system text says does not depend on what contacts write"


@pytest.mark.usefixtures("neighbours")
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("hand_over_to_person", {"reason": "x", "client_id": OTHER}),
        ("hand_over_to_person", {"reason": "x", "contact": "5511999990002"}),
        ("read_history", {"client_id": OTHER}),
        ("hand_over_to_person", {"reason": 7}),
        ("hand_over_to_person", "not an object"),
    ],
)
def test_a_tool_opens_nothing_but_its_own_chat(ai: Ai, name: str, arguments: Any) -> None:
    ai.enter_key()
    ai.provider.replies.extend([calls_tools((name, json.dumps(arguments))), says("Feito.")])
    turn = f"tool-{name}-{abs(hash(str(arguments)))}"
    assert ai.chat("atacada", "chame a ferramenta", turn=turn, contact=turn).response == "Feito."
    told = ai.provider.requests[-1].messages[-1]
    assert told["role"] == "tool"
    assert told["content"].startswith("error:")
    with ai.database.connect("postgres") as connection:
        paused = connection.execute(
            "SELECT count(*) FROM paused_chats WHERE client_id = %s OR contact = ANY(%s)",
            (OTHER, [turn, "5511999990002"]),
        ).fetchone()
    assert paused == (0,)


@pytest.mark.usefixtures("neighbours")
def test_commands_are_for_admin_numbers_alone(ai: Ai) -> None:
    for contact in ("5511999990001", "5511999990009@lid", "", "99999-0009", "+5511999990009x"):
        ai.chat("atacada", "/pause 5511999990002", turn=f"cmd-{contact}", contact=contact)
    with ai.database.connect("postgres") as connection:
        paused = connection.execute("SELECT count(*) FROM paused_chats WHERE contact = '5511999990002'")
        assert paused.fetchone() == (0,)
    answer = ai.chat("atacada", "/pause 5511999990002", turn="cmd-admin", contact="5511999990009")
    assert (answer.source, "5511999990002" in answer.response) == ("plugin", True)


@pytest.mark.usefixtures("neighbours")
def test_a_model_that_calls_tools_for_ever_is_stopped(ai: Ai) -> None:
    ai.enter_key()
    ai.provider.default = openai_server.calls_tools(("hand_over_to_person", "{"))
    answer = ai.chat("atacada", "vai", turn="for-ever", contact="55110001")
    assert answer.source == "get_back"
    assert len(ai.provider.requests) <= 8
