"""The way of a message through all services as processes: in at the simulated telephone, out there again."""

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from orbitbot.bot.channels.simulator_phone import SimulatorPhone
from orbitbot.contracts.why import Story
from orbitbot.foundation.notices import notice
from tests.acceptance.conversation import Account, Conversation, speak_all
from tests.acceptance.scenario import load_day
from tests.support.api import Api
from tests.support.keys import Keys
from tests.support.net import port_is_open, wait_for
from tests.support.postgres import Cluster
from tests.support.redis import RedisServer
from tests.support.stack import ORBITBOT, Bot, Service, Stack
from tests.support.voices import synthesise

pytestmark = pytest.mark.integration

BAKERY = Path(__file__).parents[2] / "templates" / "personalities" / "bakery.pt.toml"
FAST = {"quietSeconds": 0.3, "burstSeconds": 2.0, "typingCharactersPerSecond": 0.0}
ANSWER_TIMEOUT = 30.0  # seconds
DAY_TIMEOUT = 120.0  # seconds
RESUMED = 2.0  # seconds from the call until a client that was paused answers again
KILLS = 8

numbers = itertools.count(5511911100001)


@pytest.fixture(scope="module")
def stack(
    cluster: Cluster, redis_server: RedisServer, keys: Keys, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """All services, and the bakery with its bot."""
    database = cluster.fresh()
    redis_server.flush()
    running = Stack(tmp_path_factory.mktemp("stack"), database, redis_server, keys)
    try:
        running.start()
        bakery = tomllib.loads(BAKERY.read_text())
        running.add_client("padaria", bakery["personality"], bakery["settings"] | FAST)
        yield running
    finally:
        running.stop()
        cluster.drop(database)


@pytest.fixture
def bot(stack: Stack) -> Bot:
    """The bakery's bot, running."""
    return stack.bots["padaria"]


@pytest.fixture
def operator(stack: Stack) -> Iterator[Api]:
    """The API as the operator."""
    with stack.operator() as api:
        yield api


@pytest.fixture
def phone(bot: Bot) -> SimulatorPhone:
    """A contact who never wrote before."""
    return SimulatorPhone(bot.state_directory, str(next(numbers)))


def final_story(operator: Api, message_id: str) -> Story:
    """The message's story, once it is final."""

    def final() -> Story | None:
        story = operator.story("padaria", message_id)
        return story if story and story.state in ("delivered", "silenced", "failed") else None

    story = wait_for(final, f"message {message_id} is final", ANSWER_TIMEOUT)
    assert story is not None
    return story


def test_text_in_answer_out(operator: Api, phone: SimulatorPhone) -> None:
    message_id = phone.text("Qual é o endereço?")

    (answer,) = phone.wait(bool, timeout=ANSWER_TIMEOUT)

    assert "Rua das Flores" in answer.text
    story = final_story(operator, message_id)
    assert (story.state, story.source, story.response) == ("delivered", "faq", answer.text)
    assert [stage.name for stage in story.stages] == [
        "sent", "journaled", "received", "answering", "answered", "delivering", "delivered",
    ]  # fmt: skip


def test_voice_note_in_answer_out(operator: Api, phone: SimulatorPhone) -> None:
    message_id = phone.voice(synthesise("qual é o preço do arroz hoje"))

    (answer,) = phone.wait(bool, timeout=ANSWER_TIMEOUT)

    assert "27,90" in answer.text
    story = final_story(operator, message_id)
    assert story.transcription == "qual é o preço do arroz hoje"
    assert "transcribed" in [stage.name for stage in story.stages]


def test_burst_is_one_turn(operator: Api, phone: SimulatorPhone) -> None:
    ids = [phone.text("oi"), phone.text("bom dia"), phone.text("onde fica a padaria?")]

    phone.wait(bool, timeout=ANSWER_TIMEOUT)

    stories = [final_story(operator, message_id) for message_id in ids]
    assert len({story.turn for story in stories}) == 1
    assert stories[0].messages == ids


def test_second_delivery_changes_nothing(operator: Api, phone: SimulatorPhone) -> None:
    message_id = phone.text("vocês entregam?")
    phone.wait(bool, timeout=ANSWER_TIMEOUT)
    turn = final_story(operator, message_id).turn

    phone.text("vocês entregam?", message_id=message_id)
    later = phone.text("qual é a chave pix?")
    phone.wait(lambda answers: len(answers) >= 2, timeout=ANSWER_TIMEOUT)

    assert final_story(operator, message_id).turn == turn
    assert final_story(operator, later).messages == [later]
    assert len(phone.received()) == 2


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"group": "120363000000000001"}, "group"),
        ({"kind": "status"}, "status_broadcast"),
        ({"kind": "own"}, "own_message"),
        ({"sent_at": time.time() - 7 * 3600}, "too_old"),
    ],
)
def test_set_aside(operator: Api, phone: SimulatorPhone, how: dict[str, Any], reason: str) -> None:
    story = final_story(operator, phone.text("vocês entregam?", **how))

    assert (story.state, story.reason, story.turn) == ("silenced", reason, "")
    assert phone.received() == []


def test_an_erased_contact_is_gone_from_the_bots_disk_too(
    stack: Stack, bot: Bot, operator: Api, phone: SimulatorPhone
) -> None:
    said = f"Onde fica a padaria? Sou alérgica a {phone.number}"
    ids = [phone.text(said)]
    phone.wait(bool, timeout=ANSWER_TIMEOUT)
    ids.append(phone.voice(synthesise("qual é o preço do arroz hoje")))
    phone.wait(lambda answers: len(answers) > 1, timeout=ANSWER_TIMEOUT)
    for message_id in ids:
        final_story(operator, message_id)

    def on_disk() -> bytes:
        files = sorted(bot.state_directory.glob("journal.db*"))
        return b"".join(path.read_bytes() for path in files if path.exists())

    assert said.encode() in on_disk()
    command = [
        ORBITBOT, "erase-contact", "padaria", phone.number, "--settings",
        str(stack.directory / "gateway.toml"),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, (done.stdout, done.stderr)
    erased = json.loads(done.stdout)
    assert (erased["remaining"], erased["bot"]) == (0, "done")
    left = on_disk()
    assert said.encode() not in left
    assert phone.number.encode() not in left
    assert list((bot.state_directory / "media").iterdir()) == []


def test_a_resumed_client_answers_within_two_seconds(operator: Api, bot: Bot, phone: SimulatorPhone) -> None:
    """From the call to the first answer, which has the client's quiet time in it, here 0.3 s."""
    try:
        operator.http.post("/api/clients/padaria/pause").raise_for_status()
        wait_for(lambda: operator.client("padaria").bot_state == "paused", "the pause", ANSWER_TIMEOUT)
        silenced = final_story(operator, phone.text("vocês entregam?"))
        assert (silenced.state, silenced.reason) == ("silenced", "muted")
    finally:
        began = time.monotonic()
        operator.http.post("/api/clients/padaria/resume").raise_for_status()
    waiting: list[SimulatorPhone] = []

    def somebody_has_an_answer() -> bool:
        waiting.append(SimulatorPhone(bot.state_directory, str(next(numbers))))
        waiting[-1].text("Qual é o endereço?")
        return any(each.received() for each in waiting)

    wait_for(somebody_has_an_answer, "an answer", ANSWER_TIMEOUT)
    assert time.monotonic() - began <= RESUMED
    assert phone.received() == [], "what was written in the pause stays silenced"


def test_an_integrators_message_is_answered(stack: Stack, operator: Api) -> None:
    credential = operator.credential("padaria", "integrator")
    with stack.anonymous() as anonymous, anonymous.as_credential(credential) as integrator:
        answer = integrator.say("padaria", "Qual é o preço do pão?", str(next(numbers)), key="integration-1")
        again = integrator.say("padaria", "Qual é o preço do pão?", answer.turn, key="integration-2")
        stats = integrator.stats("padaria")

    assert "17,90" in answer.response
    assert answer.turn != again.turn
    assert stats.turns >= 2


def test_a_bots_token_does_not_open_another_client(stack: Stack, operator: Api, bot: Bot) -> None:
    operator.register("vizinho", channel="simulator")
    with stack.anonymous() as anonymous, anonymous.as_credential(bot.credential) as token:
        answer = token.http.post("/api/clients/vizinho/messages", json={"message": "oi", "from": "1"})

    assert answer.status_code == httpx.codes.FORBIDDEN


def test_bot_killed_again_and_again_loses_and_doubles_nothing(
    stack: Stack, bot: Bot, operator: Api, seed: int
) -> None:
    rng = random.Random(seed)

    def kill(conversation: Conversation) -> None:
        for _ in range(KILLS):
            conversation.progress.clear()
            conversation.progress.wait(rng.uniform(0.1, 1.0))
            bot.service.kill()
            bot.service.start()

    account = play_day(bot, operator, seed, kill)

    assert account.is_clean, "\n".join([*account.complaints(), stack.logs()])
    assert account.answered + account.silenced.total() == account.messages


@pytest.mark.parametrize("name", ["gateway", "ai", "speech"])
def test_service_killed_in_the_middle(stack: Stack, bot: Bot, operator: Api, seed: int, name: str) -> None:
    service = next(service for service in stack.services if service.name == name)

    def kill(conversation: Conversation) -> None:
        conversation.progress.wait(ANSWER_TIMEOUT)
        service.kill()
        service.start()
        service.wait_ready()

    account = play_day(bot, operator, seed, kill)

    assert account.is_clean, "\n".join([*account.complaints(), stack.logs()])
    assert account.answered + account.silenced.total() == account.messages


def test_workers_do_not_outlive_their_main_process(stack: Stack) -> None:
    assert stack.ai.process is not None
    pid = stack.ai.process.pid
    workers = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    assert workers

    os.kill(pid, signal.SIGKILL)
    stack.ai.process.wait(ANSWER_TIMEOUT)

    try:
        wait_for(lambda: not any(Path(f"/proc/{each}").exists() for each in workers), "the workers are gone")
    finally:
        stack.ai.start()
        stack.ai.wait_ready()


def test_a_service_does_not_outlive_what_started_it(stack: Stack) -> None:
    stack.ai.stop()
    script = "import subprocess, sys; subprocess.run(sys.argv[1:])"
    with stack.ai.log.open("ab") as log:
        starter = subprocess.Popen([sys.executable, "-c", script, *stack.ai.command], stdout=log, stderr=log)
    port = httpx.URL(stack.ai.url).port
    assert port is not None
    try:
        wait_for(lambda: port_is_open(port), "the service listens", ANSWER_TIMEOUT)
        starter.kill()
        starter.wait(ANSWER_TIMEOUT)
        wait_for(lambda: not port_is_open(port), "the service has ended", ANSWER_TIMEOUT)
    finally:
        starter.kill()
        starter.wait(ANSWER_TIMEOUT)
        stack.ai.start()
        stack.ai.wait_ready()


def test_a_contact_is_told_that_a_voice_note_waits_and_gets_its_answer(
    stack: Stack, bot: Bot, operator: Api, phone: SimulatorPhone, redis_server: RedisServer
) -> None:
    settings = stack.directory / "gateway.toml"
    usual = settings.read_text()
    settings.write_text(f"{usual}[turns]\nretry_seconds = 1.0\nspeech_notice_seconds = 1.0\n")
    redis_server.flush()  # a note that was heard before is not heard again
    stack.speech.stop()
    try:
        restart(stack.gateway)
        message_id = phone.voice(synthesise("qual é o preço do arroz hoje"))
        (told,) = phone.wait(bool, timeout=ANSWER_TIMEOUT)
        assert told.text == notice("voice_waits", "pt")
        stack.speech.start()
        stack.speech.wait_ready()
        _, answer = phone.wait(lambda sent: len(sent) > 1, timeout=DAY_TIMEOUT)
        assert "27,90" in answer.text
        assert final_story(operator, message_id).state == "delivered"
    finally:
        settings.write_text(usual)
        restart(stack.speech)
        restart(stack.gateway)
        stack.wait_connected(bot, operator)


def restart(service: Service) -> None:
    """End a service, and wait for the next one."""
    service.stop()
    service.start()
    service.wait_ready()


@pytest.fixture
def seed() -> int:
    """Printed, and taken from ORBITBOT_SEED where that is set."""
    chosen = int(os.environ.get("ORBITBOT_SEED") or random.SystemRandom().randrange(1_000_000))
    print(f"seed {chosen} (ORBITBOT_SEED={chosen} repeats it)")
    return chosen


def play_day(bot: Bot, operator: Api, seed: int, disturb: Any) -> Account:
    """Play the day while `disturb(conversation)` runs beside it."""
    contacts = load_day(seed)
    conversation = Conversation(
        contacts,
        client_id=bot.client_id,
        state_directory=bot.state_directory,
        api=operator,
        notes=speak_all(contacts, seed),
        seed=seed,
    )
    with ThreadPoolExecutor(1) as pool:
        playing = pool.submit(conversation.run, DAY_TIMEOUT)
        disturb(conversation)
        return playing.result()
