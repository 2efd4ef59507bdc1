"""From start to SIGTERM: readiness with reasons, a full queue, a crashed decoder, draining."""

import os
import signal
from pathlib import Path

import httpx
import pytest

from tests.integration.speech.conftest import SENTENCE, StartNode
from tests.support.net import port_is_open, wait_for
from tests.support.speech_node import TIMEOUT, SpeechNode, descendants
from tests.support.voices import MODEL_DIRECTORY, synthesise


def test_ready_says_which_model_runs_on_what(node: SpeechNode) -> None:
    answer = node.http.get("/readyz")

    assert answer.status_code == 200
    assert answer.json()["checks"] == {
        "model": {"ok": True, "detail": "test model, 107 words (medium on cpu, int8)"},
        "queue": {"ok": True, "detail": "0 of 32 notes"},
        "state": {"ok": True, "detail": "takes notes"},
    }
    assert node.http.get("/healthz").json()["status"] == "alive"


def test_a_node_without_its_model_is_alive_not_ready_and_recovers(
    start_node: StartNode, tmp_path: Path, note: bytes
) -> None:
    model = tmp_path / "medium"
    with start_node(model=model) as node:
        wait_for(lambda: "no such directory" in node.check("model")["detail"], "the load has failed")
        assert str(model) in node.check("model")["detail"]
        assert node.http.get("/readyz").status_code == 503
        refused = node.transcribe(note)
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) > 0

        model.symlink_to(MODEL_DIRECTORY)

        node.wait_ready()
        assert node.transcribe(note).json()["transcription"] == SENTENCE


@pytest.mark.parametrize(
    ("missing", "says"),
    [("tokenizer.json", "tokenizer.json: no such file"), ("vocabulary.json", "ocabulary")],
)
def test_an_incomplete_model_directory_is_named_and_no_hub_is_asked(
    start_node: StartNode, tmp_path: Path, missing: str, says: str
) -> None:
    for file in MODEL_DIRECTORY.iterdir():
        if file.name != missing:
            (tmp_path / file.name).symlink_to(file)
    with start_node(model=tmp_path) as node:
        wait_for(lambda: "being loaded" not in node.check("model")["detail"], "the load has failed")

        detail = node.check("model")["detail"]
        assert says in detail
        assert "medium" in detail


def test_a_full_queue_is_503_with_retry_after(start_node: StartNode, note: bytes) -> None:
    with start_node(top="queue_limit = 2\ndecoders = 1\nnum_workers = 1") as node:
        node.wait_ready()
        with node.frozen_decoders():
            held = [node.begin(note), node.begin(note)]
            node.wait_held(2)

            refused = node.transcribe(note)

            assert refused.status_code == 503
            assert refused.headers["content-type"] == "application/problem+json"
            assert refused.json()["detail"] == "2 voice notes are waiting already"
            assert 1 <= int(refused.headers["retry-after"]) <= 60
            assert node.http.get("/readyz").status_code == 200
        assert [answer.result().json()["transcription"] for answer in held] == [SENTENCE] * 2
        assert node.transcribe(note).status_code == 200


def test_a_decoder_that_dies_between_two_notes_costs_none(node: SpeechNode, note: bytes) -> None:
    before = wait_for(node.decoders, "decoders run")
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not set(before) & set(node.decoders()), "the decoders are gone")

    assert node.transcribe(note).json()["transcription"] == SENTENCE
    assert set(node.decoders()).isdisjoint(before)


def test_a_decoder_killed_under_a_note_is_replaced_and_the_note_heard(
    start_node: StartNode, note: bytes
) -> None:
    with start_node(top="decoders = 1") as node:
        node.wait_ready()
        with node.frozen_decoders():
            under_way = node.begin(note)
            node.wait_held(1)
            for pid in node.decoders():
                os.kill(pid, signal.SIGKILL)

        assert under_way.result().json()["transcription"] == SENTENCE


def test_sigterm_drains(start_node: StartNode) -> None:
    sentences = ["quero sete pacotes de arroz", "quero oito caixas de leite", "meu telefone é um dois três"]
    with start_node(top="decoders = 1\nnum_workers = 1") as node:
        node.wait_ready()
        port = httpx.URL(node.http.base_url).port
        assert port is not None
        processes = [node.process.pid, *descendants(node.process.pid)]
        with node.frozen_decoders():
            under_way = [node.begin(synthesise(sentence)) for sentence in sentences]
            node.wait_held(3)

            os.killpg(node.process.pid, signal.SIGTERM)  # as supervisor does with stopasgroup

            wait_for(lambda: not port_is_open(port), "no new connection is taken", TIMEOUT)
            assert not any(answer.done() for answer in under_way)

        assert [answer.result().json()["transcription"] for answer in under_way] == sentences
        assert node.process.wait(TIMEOUT) == 0
        assert "decoder process died" not in node.log_text()
        wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in processes), "all processes end")


def test_sigterm_to_an_idle_node_ends_it_at_once(start_node: StartNode) -> None:
    with start_node() as node:
        node.wait_ready()
        processes = [node.process.pid, *descendants(node.process.pid)]
        assert len(node.decoders()) == 2

        node.process.terminate()

        assert node.process.wait(10) == 0
        wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in processes), "all processes end")


def test_a_killed_node_leaves_no_decoder_behind(start_node: StartNode) -> None:
    with start_node() as node:
        node.wait_ready()
        processes = [node.process.pid, *descendants(node.process.pid)]

        os.killpg(node.process.pid, signal.SIGKILL)

        node.process.wait(TIMEOUT)
        wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in processes), "all processes end")
