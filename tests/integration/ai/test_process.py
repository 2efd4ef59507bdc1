"""The AI service as processes: outages, several workers, the end, and what the wheel carries."""

import concurrent.futures
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.ai import Ai, another
from tests.support.net import wait_for
from tests.support.openai_server import Reply, _Handler, says
from tests.support.postgres import Cluster

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]
FAQ = [("Qual é o preço do arroz?", "R$ 27,90.")]


def once_all_have_asked(ai: Ai, calls: int, text: str) -> Reply:
    """Answers only when the provider has got `calls` requests."""

    def reply(handler: _Handler) -> None:
        wait_for(lambda: len(ai.provider.requests) >= calls, f"{calls} requests at the provider", 3)
        says(text)(handler)

    return reply


@pytest.fixture
def second(ai: Ai, tmp_path: Path) -> Iterator[Ai]:
    """Another service on the same database, as on a second host."""
    with another(ai, tmp_path) as running:
        yield running


def test_two_services_that_answer_the_same_turn_agree(ai: Ai, second: Ai) -> None:
    """The provider answers differently each time; one answer is stored, and every caller gets that one."""
    ai.add_client("agreed")
    ai.enter_key()
    ai.provider.replies.extend(once_all_have_asked(ai, 2, f"answer {number}") for number in range(4))
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        calls = [
            pool.submit(service.chat, "agreed", "oi", turn="t1", contact="1")
            for service in (ai, second)
            for _ in range(8)
        ]
        answers = [call.result() for call in calls]
    assert 2 <= len(ai.provider.requests) <= 4, "at most one for each worker process: equal calls join"
    assert {answer.response for answer in answers} == {ai.stored("agreed")[0][2]}
    assert [answer.repeated for answer in answers].count(False) == 1


def test_a_database_outage_is_told_and_survived(ai: Ai, cluster: Cluster) -> None:
    ai.add_client("outage", faq=FAQ)
    assert ai.chat("outage", "preço do arroz", turn="t1", contact="1").response == "R$ 27,90."
    cluster.stop()
    try:
        answer = ai.post("outage", "preço do arroz", turn="t2", contact="1")
        assert answer.status_code == 503
        assert answer.json()["type"] == "urn:orbitbot:problem:unavailable"
        assert int(answer.headers["Retry-After"]) > 0
        ready = ai.http.get("/readyz")
        assert ready.status_code == 503
        assert ready.json()["checks"]["database"]["ok"] is False
        assert ai.http.get("/healthz").status_code == 200
    finally:
        cluster.run_server()
    wait_for(
        lambda: ai.post("outage", "preço do arroz", turn="t2", contact="1").status_code == 200, "answers"
    )
    assert [turn for turn, *_ in ai.stored("outage")] == ["t1", "t2"]
    assert ai.chat("outage", "preço do arroz", turn="t1", contact="1").repeated


def test_a_stopping_service_finishes_what_it_has_begun(ai: Ai) -> None:
    """Runs last in this module: the service is gone afterwards."""
    ai.add_client("drained")
    ai.enter_key()
    process = ai.service.process
    assert process is not None

    def reply(handler: _Handler) -> None:
        process.send_signal(signal.SIGTERM)
        wait_for(lambda: not accepts(ai), "the service stopped listening", 3)
        says("the last answer")(handler)

    ai.provider.default = reply
    assert ai.chat("drained", "oi", turn="t1", contact="1").response == "the last answer"
    assert process.wait(20) == 0
    assert ai.stored("drained")[0][2] == "the last answer"
    assert "Traceback" not in ai.service.log_tail()


def accepts(ai: Ai) -> bool:
    """Whether the service still takes new connections."""
    try:
        httpx.get(f"{ai.service.url}/healthz", timeout=0.3, trust_env=False)
    except httpx.TransportError:
        return False
    return True


def test_the_wheel_carries_the_templates(tmp_path: Path) -> None:
    """Build it as a release does, and read a notice out of the unpacked package."""
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, source)
    for name in ("app", "templates"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    run = _runner(source)
    run("-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist"))
    installed = tmp_path / "installed"
    with zipfile.ZipFile(next((tmp_path / "dist").glob("orbitbot-*.whl"))) as wheel:
        wheel.extractall(installed)
    shutil.rmtree(source / "templates")
    script = (
        f"import sys; sys.path.insert(0, {str(installed)!r}); from orbitbot.foundation import notices; "
        "print(notices.__file__, notices.templates(), notices.notice('not_heard', 'pt'))"
    )
    printed = run("-c", script)
    assert printed.count(str(installed)) == 2, printed
    assert "áudio" in printed
    assert (installed / "orbitbot/templates/personalities/bakery.pt.toml").is_file()


def _runner(directory: Path) -> Callable[..., str]:
    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=directory, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
