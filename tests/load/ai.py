"""`make bench-ai`: what the AI service adds to the provider's own time, and whether its memory stays flat.

Chats at a fixed rate through the real service (its own process, PostgreSQL, Redis), and between them bare
calls of the same provider double with no service in between. The double knows how long it took itself; that
is taken away from both. A chat is sent when its time has come, whether the one before is answered or not.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from orbitbot.foundation.tokens import INTERNAL_LIFETIME
from tests.load.footprint import processor_seconds
from tests.load.report import Report, percentile
from tests.support.ai import KEY, SEALING_SECRET
from tests.support.keys import Keys, make_keys
from tests.support.net import free_port, port_is_open, wait_for
from tests.support.postgres import Cluster, Database
from tests.support.redis import RedisServer
from tests.support.stack import ORBITBOT, Service

RATE: Final = 50.0  # chats a second
BARE_EVERY: Final = 5  # chats for each bare call
CLIENTS: Final = 20
CONTACTS: Final = 40  # of each client
WARM_UP: Final = 250  # chats that are not counted: prices are read, statements prepared, histories begun
SETTLED: Final = 2_000  # chats after which memory should not grow any more
P99_GOAL: Final = 15.0  # milliseconds
MEMORY_GOAL: Final = 0.5  # MiB for 1,000 chats, from SETTLED to the end
LEAST: Final = 0.995  # of the chats must be answered by the provider

_SETTINGS: Final = """
verify_key_file = "{keys.public_file}"
sealing_secret_file = "{directory}/sealing-secret"
redis_url = "{redis.url}"
redis_password_file = "{redis.password_file}"
[listen]
port = {port}
workers = {workers}
drain_seconds = 5
[database]
user = "orbitbot_ai"
password_file = "{database.password_file}"
port = {database.port}
name = "{database.name}"
[provider]
base_url = "http://127.0.0.1:{provider}/v1"
default_model = "test/bench"
api_key_file = "{directory}/provider-key"
[budget]
day_usd = 1000.0
month_usd = 1000.0
"""


class Connections:
    """HTTP/1.1 over kept connections, as little as it takes: its own time counts against the service."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def post(self, path: str, body: bytes, headers: str = "") -> bytes:
        """The body of the answer, which must be a 200."""
        reader, writer = (
            self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self._port)
        )
        writer.write(
            f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{headers}"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        content = await _body(reader, head)
        self._idle.append((reader, writer))
        if b" 200 " not in head.partition(b"\r\n")[0]:
            raise RuntimeError(f"{path}: {head!r} {content!r}")
        return content


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    for line in head.split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return await reader.readexactly(int(line.partition(b":")[2]))
    parts: list[bytes] = []
    while size := int(await reader.readline(), 16):
        parts.append((await reader.readexactly(size + 2))[:-2])
    await reader.readline()
    return b"".join(parts)


@dataclass
class Run:
    """One run and what it has seen: number → milliseconds, for chats and bare calls."""

    service: Connections
    provider: Connections
    authorization: str
    chats: dict[int, float] = field(default_factory=dict)
    bare: dict[int, float] = field(default_factory=dict)
    sources: dict[str, int] = field(default_factory=dict)

    async def chat(self, number: int) -> None:
        """One turn."""
        client, contact = number % CLIENTS, (number // CLIENTS) % CONTACTS
        body = {
            "clientId": f"bench-{client}",
            "message": f"Tem pão de queijo? #{number}",
            "turn": f"t{number}",
            "contact": f"55119{contact:08}",
        }
        began = time.perf_counter()
        try:
            answer = json.loads(
                await self.service.post("/api/chat", json.dumps(body).encode(), self.authorization)
            )
        except (RuntimeError, OSError, asyncio.IncompleteReadError):
            answer = {"source": "failed"}
        self.chats[number] = (time.perf_counter() - began) * 1000
        self.sources[answer["source"]] = self.sources.get(answer["source"], 0) + 1

    async def call(self, number: int) -> None:
        """One bare call of the provider, with a prompt of the same size."""
        messages = [
            {"role": "system", "content": "x" * 1200},
            {"role": "user", "content": f"Tem pão? #{number}"},
        ]
        body = json.dumps({"model": "test/bench", "stream": True, "messages": messages}).encode()
        began = time.perf_counter()
        await self.provider.post("/v1/chat/completions", body)
        self.bare[number] = (time.perf_counter() - began) * 1000


async def drive(run: Run, count: int, rate: float, memory: Any) -> None:
    """Send everything at its time, and wait for the last answer."""
    loop = asyncio.get_running_loop()
    began, tasks = loop.time(), set[asyncio.Task[None]]()
    for number in range(count):
        await asyncio.sleep(max(0.0, began + number / rate - loop.time()))
        sent = [run.chat(number)]
        if number % BARE_EVERY == 0:
            sent.append(run.call(10_000_000 + number))
        for each in sent:
            task = asyncio.create_task(each)
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        if number % 500 == 0:
            memory(number)
    await asyncio.gather(*tasks)
    memory(count)


def family(pid: int) -> list[int]:
    """A process and its children."""
    return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


def private(pid: int) -> float:
    """MiB that a process and its children hold of their own, by a counter that costs nothing."""
    total = 0
    for each in family(pid):
        for line in Path(f"/proc/{each}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                total += int(line.split()[1])
    return total / 1024


def slope(points: dict[int, float]) -> float:
    """MiB for 1,000 chats, by least squares."""
    chats, sizes = list(points), list(points.values())
    middle = sum(chats) / len(chats)
    spread = sum((each - middle) ** 2 for each in chats)
    return 1000 * sum((c - middle) * m for c, m in zip(chats, sizes, strict=True)) / spread


def add_clients(database: Database) -> None:
    """The clients, each with a personality and an FAQ as a shop has."""
    faq = [{"question": f"Pergunta número {n}?", "answer": f"Resposta número {n}."} for n in range(30)]
    with database.connect("postgres") as connection:
        for number in range(CLIENTS):
            connection.execute(
                "INSERT INTO clients (id, name, channel, language, timezone, config_version)"
                " VALUES (%s, 'Padaria', 'simulator', 'pt', 'America/Sao_Paulo', 1)",
                (f"bench-{number}",),
            )
            connection.execute(
                "INSERT INTO client_configs (client_id, version, personality, settings, author)"
                " VALUES (%s, 1, %s, %s, 'bench')",
                (f"bench-{number}", "Você é a atendente da padaria. " * 20, json.dumps({"faq": faq})),
            )


def measure(directory: Path, cluster: Cluster, redis: RedisServer, given: argparse.Namespace) -> int:
    """Start everything, drive it, and say what came of it."""
    report, keys = Report("ai"), make_keys(directory)
    database, port, provider_port = cluster.create("orbitbot_bench"), free_port(), free_port()
    add_clients(database)
    (directory / "provider-key").write_text(KEY)
    (directory / "sealing-secret").write_text(SEALING_SECRET)
    settings = directory / "ai.toml"
    settings.write_text(
        _SETTINGS.format(
            keys=keys, directory=directory, redis=redis, port=port, workers=given.workers, database=database,
            provider=provider_port,
        )
    )  # fmt: skip
    double = subprocess.Popen([sys.executable, "-m", "tests.load.provider_double", str(provider_port)])
    service = Service(
        "ai", [ORBITBOT, "ai", "--settings", str(settings)], directory / "ai.log", f"http://127.0.0.1:{port}"
    )
    service.start()
    try:
        wait_for(lambda: port_is_open(provider_port), "the provider double listens")
        service.wait_ready()
        around = {
            "PostgreSQL": lambda: family(int((cluster.data / "postmaster.pid").read_text().split()[0])),
            "Redis": lambda: [int(redis.client().info("server")["process_id"])],
            "the provider double": lambda: [double.pid],
            "the load generator": lambda: [os.getpid()],
        }
        asyncio.run(_drive(report, service, port, provider_port, keys, given, around))
    finally:
        service.stop()
        double.terminate()
        double.wait(10)
    return report.finish()


async def _drive(  # noqa: PLR0917  (everything that was started)
    report: Report,
    service: Service,
    port: int,
    provider_port: int,
    keys: Keys,
    given: argparse.Namespace,
    around: dict[str, Callable[[], list[int]]],
) -> None:
    token = keys.signer().sign(
        subject="service:gateway", audience="ai", scopes=frozenset({"service"}), lifetime=INTERNAL_LIFETIME
    )
    run = Run(Connections(port), Connections(provider_port), f"Authorization: Bearer {token}\r\n")
    memory: dict[int, float] = {}

    def note(number: int) -> None:
        if service.process is not None:
            memory[number] = private(service.process.pid)

    assert service.process is not None
    pid = service.process.pid
    everyone = {"the service": lambda: family(pid)} | around
    before = {name: processor_seconds(pids()) for name, pids in everyone.items()}
    await drive(run, given.chats, given.rate, note)
    cpu = {
        name: (processor_seconds(pids()) - before[name]) / given.chats * 1000
        for name, pids in everyone.items()
    }
    took = {int(number): value for number, value in json.loads(await _get(provider_port, "/took")).items()}
    added = {
        number: total - took.get(number, 0.0) for number, total in run.chats.items() if number >= WARM_UP
    }
    bare = {number: total - took[number] for number, total in run.bare.items()}
    for number, value in added.items():
        report.sample("chat", added_ms=round(value, 3), total_ms=round(run.chats[number], 3))
    for number, value in bare.items():
        report.sample("bare", added_ms=round(value, 3), total_ms=round(run.bare[number], 3))
    for number, value in memory.items():
        report.sample("memory", chats=number, mib=round(value, 2))
    values, bare_values = list(added.values()), list(bare.values())
    report.fact("rate", given.rate)
    report.fact("workers", given.workers)
    report.fact("sources", run.sources)
    report.fact("cpu_ms_per_chat", {name: round(each, 2) for name, each in cpu.items()})
    for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        report.fact(f"added_{name}_ms", round(percentile(values, share), 2))
        report.fact(f"bare_{name}_ms", round(percentile(bare_values, share), 2))
    report.say(
        f"added p50 {percentile(values, 0.5):.1f}, p95 {percentile(values, 0.95):.1f} ms; a bare call "
        f"p50 {percentile(bare_values, 0.5):.1f}, p99 {percentile(bare_values, 0.99):.1f} ms"
    )
    report.say("ms of CPU for a chat: " + ", ".join(f"{name} {each:.1f}" for name, each in cpu.items()))
    report.say("MiB by chats: " + ", ".join(f"{number}: {mib:.1f}" for number, mib in memory.items()))
    report.at_most("p99 added by the AI service", percentile(values, 0.99), P99_GOAL, " ms")
    report.at_least("answered by the provider", run.sources.get("provider", 0) / given.chats, LEAST)
    begun = min(SETTLED, given.chats // 2)
    settled = {number: mib for number, mib in memory.items() if number >= begun}
    report.at_most(f"memory by 1,000 chats, from chat {begun} on", slope(settled), MEMORY_GOAL, " MiB")


async def _get(port: int, path: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**26)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    content = await _body(reader, head)
    writer.close()
    return content


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chats", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="orbitbot-bench-") as name:
        directory = Path(name)
        (directory / "redis").mkdir()
        cluster, redis = (
            Cluster(Path(tempfile.mkdtemp(prefix="orbitbot-pg-"))),
            RedisServer(directory / "redis"),
        )
        redis.start()
        try:
            cluster.start()
            return measure(directory, cluster, redis, given)
        finally:
            redis.stop()
            cluster.remove()


if __name__ == "__main__":
    sys.exit(main())
