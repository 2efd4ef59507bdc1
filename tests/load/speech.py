"""`make bench-speech`: the speech node beside faster-whisper, on this machine's CPU.

    python -m tests.load.speech [throughput] [words] [limit] [memory]      (all parts without an argument)

throughput  a model of Whisper base's shape with random weights and 32 tokens to a window; notes of 3 to 15 s.
            Three sides take turns: the node, 8 notes at once; faster-whisper in one resident process, note
            after note, on all cores; a process for each note, 8 at once.
words       the small test model: the node, 8 at once, against faster-whisper, one by one.
limit       a node whose queue is full: how fast it refuses, and what that costs those it took.
memory      5,000 notes through the small model: what the node's processes hold.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from tests.load import speech_peer
from tests.load.report import Report, median, percentile
from tests.load.speech_notes import notes_of_seconds, sentences, spread_lengths
from tests.load.speech_shapes import SHAPES, TOKENS, write_model
from tests.support.keys import make_keys
from tests.support.speech_node import SpeechNode, descendants, speech_node
from tests.support.voices import MODEL_DIRECTORY

AT_ONCE: Final = 8
ROUNDS: Final = 3
NOTES: Final = 16  # of a round
PROCESS_NOTES: Final = 8  # … of the side with a process for each
WORD_NOTES: Final = 48
LIMIT_SECONDS: Final = 20.0  # of each half of a round
LIMIT_ROUNDS: Final = 3
MEMORY_NOTES: Final = 5000
MEBIBYTE: Final = 1024**2

SHAPE: Final = "base"
SPEEDUP: Final = 1.8  # goals
PROCESS_SPEEDUP: Final = 10.0
REFUSED_SECONDS: Final = 0.05
KEPT_P95: Final = 1.25  # of the p95 without the crowd
GROWTH: Final = 1.1  # of the memory after the first tenth


class Peer:
    """faster-whisper in a resident process."""

    def __init__(self, model: Path, device: str = "cpu", compute: str = "int8", threads: int = 0) -> None:
        command = [
            sys.executable,
            speech_peer.__file__,
            "resident",
            str(model),
            device,
            compute,
            str(threads),
        ]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._read()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def _read(self) -> dict[str, Any]:
        if self._process.stdout is None or not (line := self._process.stdout.readline()):
            raise RuntimeError(f"faster-whisper ended ({self._process.wait()})")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def transcribe(self, file: Path) -> dict[str, Any]:
        """One file."""
        if self._process.stdin is None:
            raise RuntimeError("no pipe")
        self._process.stdin.write(f"{file}\n")
        self._process.stdin.flush()
        return self._read()

    def close(self) -> None:
        """End the process."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(60)


def once(model: Path, file: Path) -> str:
    """One file in a process of its own, as faster-whisper comes."""
    command = [sys.executable, speech_peer.__file__, "once", str(model), "cpu", "int8", "0", str(file)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=600)
    return str(json.loads(done.stdout)["text"])


@contextlib.contextmanager
def node_of(models: dict[str, Path], top: str = "", device: str = "cpu") -> Iterator[SpeechNode]:
    """A node that is ready."""
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        with speech_node(make_keys(directory), directory, models, top, device=device) as node:
            node.wait_ready()
            yield node


def heard(node: SpeechNode, file: Path, **fields: str) -> str:
    """What the node answers."""
    answer = node.transcribe(file.read_bytes(), **fields)
    if answer.status_code != 200:
        raise RuntimeError(answer.text)
    return str(answer.json()["transcription"])


def cpu_seconds(pid: int) -> float:
    """Of a process and those below it that still run."""
    ticks = 0
    for each in [pid, *descendants(pid)]:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            ticks += sum(map(int, Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def words(texts: Sequence[str]) -> list[int]:
    """How long each text is. Random weights are chaotic: which words they are hangs on a sum's last bit."""
    return [len(text.split()) for text in texts]


def at_once(count: int, work: Callable[[Path], str], files: Sequence[Path]) -> tuple[float, list[str]]:
    """All files by `count` callers; seconds and answers."""
    with ThreadPoolExecutor(count) as pool:
        began = time.perf_counter()
        answers = list(pool.map(work, files))
        return time.perf_counter() - began, answers


def measure_throughput(report: Report) -> None:
    """Notes a second of three sides."""
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        model = directory / "model"
        write_model(model, SHAPES[SHAPE], "int8")
        lengths = spread_lengths(NOTES)
        files = notes_of_seconds(lengths, directory, seed=1)
        report.fact("throughput", {"shape": SHAPE, "tokens": TOKENS, "lengths": lengths, "at_once": AT_ONCE})
        cores = len(os.sched_getaffinity(0))
        peer = Peer(model, threads=cores)
        ours, theirs, processes = [], [], []
        try:
            with node_of({"medium": model}) as node:
                for file in files[:2]:  # both are warm, then
                    heard(node, file)
                    peer.transcribe(file)
                for number in range(ROUNDS):
                    spent = cpu_seconds(node.process.pid)
                    took, said = at_once(AT_ONCE, lambda file: heard(node, file), files)
                    cpu = (cpu_seconds(node.process.pid) - spent) / NOTES
                    ours.append(NOTES / took)
                    report.sample(
                        "node", part="throughput", round=number, seconds=took, notes=NOTES, cpu_a_note=cpu
                    )
                    spent = cpu_seconds(peer.pid)
                    began = time.perf_counter()
                    other = [str(peer.transcribe(file)["text"]) for file in files]
                    took = time.perf_counter() - began
                    peer_cpu = (cpu_seconds(peer.pid) - spent) / NOTES
                    theirs.append(NOTES / took)
                    report.sample(
                        "resident",
                        part="throughput",
                        round=number,
                        seconds=took,
                        notes=NOTES,
                        cpu_a_note=peer_cpu,
                    )
                    report.say(f"CPU seconds a note: node {cpu:.2f}, resident {peer_cpu:.2f}")
                    if words(said) != words(other):
                        raise RuntimeError("the two sides decode texts of different lengths")
                    took, _ = at_once(AT_ONCE, lambda file: once(model, file), files[:PROCESS_NOTES])
                    processes.append(PROCESS_NOTES / took)
                    report.sample(
                        "process", part="throughput", round=number, seconds=took, notes=PROCESS_NOTES
                    )
                    report.say(f"round {number}: node {ours[-1]:.3f}, resident {theirs[-1]:.3f}, "
                               f"process for each {processes[-1]:.3f} notes/s")  # fmt: skip
                metrics = node.http.get("/metrics").text
                report.fact(
                    "node_metrics", [line for line in metrics.splitlines() if "batches_total" in line]
                )
        finally:
            peer.close()
        ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
        report.at_least(
            "throughput against a resident faster-whisper, one by one", median(ratios), SPEEDUP, " times"
        )
        ratios = [one / other for one, other in zip(ours, processes, strict=True)]
        report.at_least("throughput against a process for each", median(ratios), PROCESS_SPEEDUP, " times")


def measure_words(report: Report) -> None:
    """The same words, and the two figures with a model that is nearly no arithmetic."""
    with tempfile.TemporaryDirectory() as temporary:
        notes = sentences(WORD_NOTES, Path(temporary), seed=2)
        files = [file for _, file in notes]
        peer = Peer(MODEL_DIRECTORY, threads=len(os.sched_getaffinity(0)))
        try:
            with node_of({"medium": MODEL_DIRECTORY}, "queue_limit = 64") as node:
                heard(node, files[0])
                peer.transcribe(files[0])
                ours, theirs, processes, differing = [], [], [], 0
                for number in range(ROUNDS):
                    took, said = at_once(AT_ONCE, lambda file: heard(node, file), files)
                    ours.append(WORD_NOTES / took)
                    report.sample(
                        "node", part="words", round=number, seconds=took, notes=WORD_NOTES, heard=said
                    )
                    began = time.perf_counter()
                    other = [str(peer.transcribe(file)["text"]) for file in files]
                    took = time.perf_counter() - began
                    theirs.append(WORD_NOTES / took)
                    report.sample(
                        "resident", part="words", round=number, seconds=took, notes=WORD_NOTES, heard=other
                    )
                    differing += sum(one != two for one, two in zip(said, other, strict=True))
                    took, _ = at_once(
                        AT_ONCE, lambda file: once(MODEL_DIRECTORY, file), files[:PROCESS_NOTES]
                    )
                    processes.append(PROCESS_NOTES / took)
                    report.sample("process", part="words", round=number, seconds=took, notes=PROCESS_NOTES)
        finally:
            peer.close()
        report.at_most("notes whose words differ from faster-whisper's", differing, 0)
        report.fact("small_model", {
            "against_resident": median([one / two for one, two in zip(ours, theirs, strict=True)]),
            "against_process": median([one / two for one, two in zip(ours, processes, strict=True)]),
        })  # fmt: skip
        report.say(f"small model: {median(ours):.2f} notes/s; resident {median(theirs):.2f}, "
                   f"process for each {median(processes):.2f}")  # fmt: skip


def measure_limit(report: Report) -> None:
    """A crowd before a full node: refused fast, and without harm for those inside."""
    with tempfile.TemporaryDirectory() as temporary:
        files = [file for _, file in sentences(16, Path(temporary), seed=3)]
        with node_of({"medium": MODEL_DIRECTORY}, f"queue_limit = {AT_ONCE}") as node:
            alone, crowded, refused = [], [], []
            for number in range(LIMIT_ROUNDS):
                for crowd, taken in ((0, alone), (AT_ONCE * 2, crowded)):
                    answered, turned_away = _limit_half(node, files, crowd)
                    taken.extend(answered)
                    refused += turned_away
                    report.sample("crowded" if crowd else "alone", part="limit", round=number,
                                  answered=answered, refused=turned_away)  # fmt: skip
        if len(refused) < 20:
            raise RuntimeError(f"only {len(refused)} notes were refused: the node was not full")
        report.at_most("p95 of a refusal by a full node", percentile(refused, 0.95), REFUSED_SECONDS, " s")
        ratio = percentile(crowded, 0.95) / percentile(alone, 0.95)
        report.at_most("p95 of those taken, with a crowd, against without", ratio, KEPT_P95, " times")


def _limit_half(node: SpeechNode, files: Sequence[Path], crowd: int) -> tuple[list[float], list[float]]:
    """Seconds of answers to `AT_ONCE` callers that ask all the time, and of refusals of `crowd` more."""
    answered: list[float] = []
    refused: list[float] = []
    ends = time.monotonic() + LIMIT_SECONDS
    full = threading.Event()

    def inside(number: int) -> None:
        turn = number
        while time.monotonic() < ends:
            began = time.perf_counter()
            answer = node.transcribe(files[turn % len(files)].read_bytes())
            if answer.status_code == 200:
                answered.append(time.perf_counter() - began)
            elif answer.status_code == 503:  # one of the crowd took the place
                time.sleep(0.02)
            else:
                raise RuntimeError(answer.text)
            turn += 1

    def outside(number: int) -> None:
        while time.monotonic() < ends:
            began = time.perf_counter()
            answer = node.transcribe(files[number % len(files)].read_bytes())
            if answer.status_code == 503:
                refused.append(time.perf_counter() - began)
                if int(answer.headers["retry-after"]) < 1:
                    raise RuntimeError("no Retry-After")
            elif answer.status_code == 200:
                answered.append(time.perf_counter() - began)
            full.wait(0.25)  # as somebody who was told to come later, only sooner

    with ThreadPoolExecutor(AT_ONCE + crowd) as pool:
        tasks = [pool.submit(inside, number) for number in range(AT_ONCE)]
        tasks += [pool.submit(outside, number) for number in range(crowd)]
        for task in tasks:
            task.result()
    return answered, refused


def measure_memory(report: Report, notes: int = MEMORY_NOTES) -> None:
    """What all processes of the node hold, over many notes."""
    with tempfile.TemporaryDirectory() as temporary:
        files = [file for _, file in sentences(40, Path(temporary), seed=4)]
        with node_of({"medium": MODEL_DIRECTORY}) as node:
            held = []
            step = max(notes // 50, AT_ONCE)
            for done in range(0, notes, step):
                at_once(AT_ONCE, lambda number: heard(node, files[hash(number) % len(files)]),
                        [Path(str(number)) for number in range(done, min(done + step, notes))])  # fmt: skip
                held.append(resident_bytes(node) / MEBIBYTE)
                report.sample("node", part="memory", notes=min(done + step, notes), mebibytes=held[-1])
        early = max(held[: max(len(held) // 10, 1)])
        late = max(held[-max(len(held) // 10, 1) :])
        report.at_most(f"memory after {notes} notes ({late:.0f} MiB) against {early:.0f} MiB after a tenth",
                       late / early, GROWTH, " times")  # fmt: skip


def resident_bytes(node: SpeechNode) -> int:
    """Of the node's processes together."""
    total = 0
    for pid in [node.process.pid, *descendants(node.process.pid)]:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return total


PARTS: Final[dict[str, Callable[[Report], None]]] = {
    "throughput": measure_throughput,
    "words": measure_words,
    "limit": measure_limit,
    "memory": measure_memory,
}


def main() -> int:
    """Measure the parts that the command line names."""
    chosen = sys.argv[1:] or list(PARTS)
    unknown = [part for part in chosen if part not in PARTS]
    if unknown:
        print(f"{unknown[0]!r} is not a part; allowed: {', '.join(PARTS)}")
        return 2
    report = Report("speech")
    for part in chosen:
        PARTS[part](report)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
