"""Voice notes over several speech nodes: spread by seconds, moved when a node dies, kept when all do."""

from collections.abc import Iterator

import httpx
import pytest

from orbitbot.foundation.notices import notice
from tests.support.gateway import Client, Gateways, answer_of
from tests.support.keys import Keys
from tests.support.net import wait_for
from tests.support.postgres import Cluster
from tests.support.redis import RedisServer
from tests.support.upstreams import AiDouble, SpeechDouble

A_MINUTE = b"OggS\0\0" + (44 << 16).to_bytes(8, "little") + b"um minuto"  # its last page says 60 s
TURNS = """answer_seconds = 3.0
retry_seconds = 1.0
speech_notice_seconds = 1.0
speech_wait_seconds = 600.0
"""


@pytest.fixture(scope="module")
def second(keys: Keys) -> Iterator[SpeechDouble]:
    """The pool's other node."""
    with SpeechDouble(keys) as double:
        yield double


@pytest.fixture(scope="module")
def pool(
    cluster: Cluster,
    redis_server: RedisServer,
    keys: Keys,
    doubles: tuple[AiDouble, SpeechDouble],
    second: SpeechDouble,
    *,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Gateways]:
    """A gateway before two nodes."""
    database = cluster.fresh()
    redis_server.flush()
    directory = tmp_path_factory.mktemp("pool")
    gateways = Gateways(directory, database, redis_server, keys, *doubles, more_speech=(second,))
    try:
        gateways.start(turns=TURNS)
        yield gateways
    finally:
        gateways.close()
        cluster.drop(database)


@pytest.fixture
def nodes(pool: Gateways, speech: SpeechDouble, second: SpeechDouble) -> Iterator[list[SpeechDouble]]:
    """Both nodes, well and in."""
    pool.redis.flush()
    for double in (pool.ai, speech, second):
        double.reset()
    wait_until_in(pool)
    yield [speech, second]
    for node in (speech, second):
        node.reset()
        node.stop()
        node.start()
    wait_until_in(pool)


@pytest.fixture
def client(pool: Gateways) -> Client:
    """A client of its own for each test."""
    return pool.add_client()


def log(pool: Gateways) -> str:
    return pool.services[0].log.read_text()


def wait_until_in(pool: Gateways) -> None:
    """Wait until the gateway has taken in every node that it took out."""
    wait_for(lambda: log(pool).count("node taken out") == log(pool).count("node taken in"), "both are in", 30)


def begin(client: Client, *notes: bytes, key: str) -> None:
    """Post voice notes; their turn goes on after the 202."""
    assert client.post_notes(*notes, key=key).status_code == httpx.codes.ACCEPTED


def finish(client: Client, key: str) -> str:
    """The answer to a turn that was begun."""
    answer = answer_of(client.turn(key, wait=25))
    assert answer.state == "answered", answer
    return answer.response


def test_the_node_with_fewest_seconds_of_audio_is_asked(nodes: list[SpeechDouble], client: Client) -> None:
    for node in nodes:
        node.hold()
    begin(client, A_MINUTE, key="long")
    begin(client, b"um", b"dois", b"tres", key="short")

    counts = sorted(node.arrived for node in nodes)
    for node in nodes:
        node.release()

    assert counts == [1, 3]
    assert "um minuto" in finish(client, "long")
    assert finish(client, "short") == "echo: um\ndois\ntres"


def test_a_note_whose_node_dies_is_heard_by_the_other(nodes: list[SpeechDouble], client: Client) -> None:
    for node in nodes:
        node.hold()
    begin(client, b"bom dia", key="n")
    (busy,) = [node for node in nodes if node.arrived]
    (idle,) = [node for node in nodes if not node.arrived]

    busy.die()
    idle.wait_arrived(1)
    idle.release()

    assert finish(client, "n") == "echo: bom dia"
    assert idle.arrived == 1


def test_a_note_whose_node_falls_silent_is_heard_by_the_other(
    nodes: list[SpeechDouble], client: Client
) -> None:
    """A host without power hangs up on nobody: only that it does not say how it is tells of it."""
    for node in nodes:
        node.hold()
    begin(client, b"boa tarde", key="n")
    (busy,) = [node for node in nodes if node.arrived]
    (idle,) = [node for node in nodes if not node.arrived]
    idle.release()

    busy.mute = True

    idle.wait_arrived(1, timeout=60)
    assert finish(client, "n") == "echo: boa tarde"


def test_a_node_that_is_not_ready_is_out_until_it_is(
    pool: Gateways, nodes: list[SpeechDouble], client: Client
) -> None:
    draining, other = nodes
    taken_out = log(pool).count("node taken out")
    draining.ready = False
    wait_for(lambda: log(pool).count("node taken out") > taken_out, "it is out", 30)
    before = draining.arrived

    answers = [answer_of(client.post_notes(f"nota {number}".encode())) for number in range(6)]

    assert {answer.state for answer in answers} == {"answered"}
    assert (draining.arrived, other.arrived) == (before, 6)
    draining.ready = True
    wait_until_in(pool)
    for number in range(12):
        answer_of(client.post_notes(f"outra {number}".encode()))
    assert draining.arrived > before


def test_without_a_node_a_note_waits_and_its_contact_is_told(
    pool: Gateways, nodes: list[SpeechDouble], client: Client
) -> None:
    for node in nodes:
        node.stop()
    begin(client, b"tem bolo", key="n")

    told = wait_for(lambda: answer_of(client.turn("n")).notice, "the contact is told", 30)
    waiting = answer_of(client.turn("n"))
    story = client.integrator.get(f"/api/clients/{client.id}/messages/v0-n/why").json()

    assert told == notice("voice_waits", "pt")
    assert (waiting.state, waiting.interrupted) == ("received", False)
    assert "waiting" in [stage["name"] for stage in story["stages"]]

    pool.services[0].kill()  # nor does it get lost with the gateway
    pool.services[0].log.write_text("")  # whose successor takes no node in that it did not take out
    pool.services[0].start()
    pool.services[0].wait_ready()
    for node in nodes:
        node.start()
    wait_for(lambda: client.post_notes(b"tem bolo", key="n").status_code == httpx.codes.OK, "answered", 60)
    answer = answer_of(client.turn("n"))
    assert (answer.response, answer.notice) == ("echo: tem bolo", "")
    assert sum(node.arrived for node in nodes) == 1


def test_what_was_heard_is_not_heard_again(nodes: list[SpeechDouble], client: Client, pool: Gateways) -> None:
    for key in ("one", "two"):
        assert answer_of(client.post_notes(b"de novo", key=key)).response == "echo: de novo"
    assert sum(node.arrived for node in nodes) == 1

    answer_of(pool.add_client().post_notes(b"de novo"))
    assert sum(node.arrived for node in nodes) == 2, "one client's transcripts are no other's"
    pool.redis.flush()
    answer_of(client.post_notes(b"de novo", key="three"))
    assert sum(node.arrived for node in nodes) == 3
