"""The restore drill: the newest backup on another host, compared row for row, and a question asked of it.

It proves both ways back: the cluster, recovered to the moment of the newest dump, and the dump itself, must
each hold exactly what the dump's manifest says.
"""

import json
import os
import secrets
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from orbitbot_backup import dumping, programs, recovering, repository, restoring
from orbitbot_backup.errors import BackupError
from orbitbot_backup.jobs import Done
from orbitbot_backup.postgresql import (
    SUPERUSER,
    Server,
    differences,
    fingerprints,
    private,
    wait_until,
)
from orbitbot_backup.recovering import Moment
from orbitbot_backup.restic import Repository
from orbitbot_backup.settings import Cluster, DrillJob, Settings

CONFIG: Final = "/etc/orbitbot/backup/pgbackrest-drill.conf"
DATABASE_PORT: Final = 54_332
OPERATOR: Final = "restore-drill"
_READY: Final = 120.0  # seconds until a service must answer
_QUESTION: Final = "Bom dia"


def run(settings: Settings) -> Done:
    """Restore, compare, start the gateway, ask; what was found."""
    job, cluster = settings.drill, settings.cluster
    if job is None or cluster is None:
        raise AssertionError
    began = time.monotonic()
    state = Path(settings.state) / "drill"
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir(parents=True)
    state.chmod(0o711)  # PostgreSQL's own user passes through
    try:
        return _drill(settings, job, cluster, state, began)
    finally:
        shutil.rmtree(state, ignore_errors=True)


def _drill(settings: Settings, job: DrillJob, cluster: Cluster, state: Path, began: float) -> Done:
    restic = Repository(
        replace(settings.restic, repository=job.repository, password_file=job.password_file, sftp_command=""),
        Path(settings.state),
    )
    snapshot, folder, manifest = _newest_dump(restic, state)
    backup = _backup_before(cluster, manifest)
    data = state / "cluster"
    recovering.recover(
        cluster, Moment("name", manifest.restore_point), data, config=CONFIG, label=backup.label
    )
    with private(cluster, data, DATABASE_PORT, recovering=True) as server:
        recovering.wait_for_moment(server, Moment("name", manifest.restore_point), "")
        recovering.promote(server)
        _compare(manifest, server, manifest.database, f"backup {backup.label}")
        restored = time.monotonic() - began
        dumping.load(server, folder, "from_dump", manifest.database)
        answer = _ask(job, server, manifest.database, state)
    seconds = round(time.monotonic() - began, 1)
    return Done(
        backup.size,
        f"{manifest.rows} rows in {len(manifest.tables)} tables equal in backup {backup.label} and dump "
        f"{snapshot[:8]}; a question was answered; {seconds:.0f} s",
        {
            "backup": backup.label,
            "dump": snapshot,
            "rows": manifest.rows,
            "tables": len(manifest.tables),
            "moment": manifest.at,
            "restore_seconds": round(restored, 1),
            "seconds": seconds,
            "answer": answer,
        },
    )


def _newest_dump(restic: Repository, state: Path) -> tuple[str, Path, dumping.Manifest]:
    snapshots = restic.snapshots("dump")
    if not snapshots:
        raise BackupError("there is no dump to compare with; run job dump on the database host first")
    folder = restoring.unpack_dump(restic, snapshots[-1], state / "dump")
    return snapshots[-1]["short_id"], folder, dumping.read_manifest(folder)


def _backup_before(cluster: Cluster, manifest: dumping.Manifest) -> repository.Backup:
    known = [
        each
        for each in repository.backups(cluster.stanza, f"--config={CONFIG}")
        if each.stopped_at <= manifest.at
    ]
    if not known:
        raise BackupError("there is no backup from before the newest dump; run job database, then job dump")
    return known[-1]


def _compare(manifest: dumping.Manifest, server: Server, database: str, what: str) -> None:
    differing = differences(manifest.tables, fingerprints(server, database))
    if differing:
        raise BackupError(f"{what} does not hold what it should: {'; '.join(differing)}")


def _ask(job: DrillJob, server: Server, database: str, state: Path) -> str:
    """Start the AI service and the gateway on the restored database and ask a client's bot a question."""
    client = server.query(
        "SELECT id FROM clients WHERE state = 'active' ORDER BY config_version = 0, id LIMIT 1", database
    )
    if not client:
        raise BackupError("the restored database has no active client to ask")
    password = secrets.token_urlsafe(24)
    place = state / "services"
    _write_settings(place, server, database, job.port, password)
    program = Path(job.release) / "venv/application/bin/orbitbot"
    programs.run(
        [
            program,
            "set-operator",
            OPERATOR,
            f"--password-file={place}/password",
            f"--settings={place}/owner.toml",
        ],
        user=SUPERUSER,
    )
    with ExitStack() as services:
        for name in ("ai", "gateway"):
            services.enter_context(_service(program, name, place))
        base = f"http://127.0.0.1:{job.port}"
        wait_until(lambda: _healthy(base), "the gateway on the restored database", _READY)
        wait_until(lambda: _healthy(f"http://127.0.0.1:{job.port + 1}"), "the AI service", _READY)
        session = _call(base, "/api/auth/token",
                        {"grant_type": "password", "username": OPERATOR, "password": password})  # fmt: skip
        answer = _call(
            base, f"/api/clients/{client}/messages", {"message": _QUESTION, "type": "text", "from": OPERATOR},
            session["access_token"],
        )  # fmt: skip
    if answer.get("state") not in ("answered", "delivered") or not answer.get("response"):
        raise BackupError(
            f"the question got no answer: {answer.get('state')} {answer.get('reason', '')}".strip()
        )
    return str(answer["response"])


def _write_settings(place: Path, server: Server, database: str, port: int, password: str) -> None:
    place.mkdir(mode=0o700)
    programs.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(place / "signing.pem")])
    programs.run(
        ["openssl", "pkey", "-in", str(place / "signing.pem"), "-pubout", "-out", str(place / "verify.pem")]
    )
    (place / "password").write_text(password + "\n", "utf-8")

    def login(role: str) -> str:
        return (
            f'{{ user = "{role}", password_file = "{place}/password", host = "{server.sockets}", '
            f'port = {server.port}, name = "{database}" }}'
        )

    nowhere = (
        f"http://127.0.0.1:{port + 2}"  # nothing listens there: the drill needs neither speech nor Redis
    )
    files = {
        "owner.toml": f"database = {login('orbitbot_owner')}\n",
        "ai.toml": (
            f"listen = {{ port = {port + 1} }}\ndatabase = {login('orbitbot_ai')}\n"
            f'verify_key_file = "{place}/verify.pem"\n'
            f'provider = {{ default_model = "none", api_key_file = "{place}/no-key" }}\n'
        ),
        "gateway.toml": (
            f"listen = {{ port = {port} }}\ndatabase = {login('orbitbot_gateway')}\n"
            f"operator_database = {login('orbitbot_operator')}\n"
            f'redis_url = "redis://127.0.0.1:{port + 2}/0"\n'
            f'signing_key_file = "{place}/signing.pem"\nverify_key_file = "{place}/verify.pem"\n'
            f'ai_urls = ["http://127.0.0.1:{port + 1}"]\nspeech_urls = ["{nowhere}"]\n'
            f'public_url = "http://127.0.0.1:{port}"\n'
        ),
    }
    for name, text in files.items():
        (place / name).write_text(text, "utf-8")
    programs.run(["chown", "-R", f"{SUPERUSER}:{SUPERUSER}", str(place)])


@contextmanager
def _service(program: Path, name: str, place: Path) -> Iterator[None]:
    log = place / f"{name}.log"
    with log.open("wb") as output, subprocess.Popen(  # noqa: S603  (no shell)
        [str(program), name, f"--settings={place / name}.toml"],
        stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=place,
        env=programs.environment_for(SUPERUSER), start_new_session=True,
        **programs.identity(SUPERUSER),  # type: ignore[call-overload]
    ) as process:  # fmt: skip
        try:
            yield
        except BackupError as error:
            words = log.read_text("utf-8", errors="replace").splitlines()[-3:]
            raise BackupError(f"{error}; {name}: {' | '.join(words)}") from error
        finally:
            process.terminate()
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)


def _healthy(base: str) -> bool:
    try:
        with urllib.request.urlopen(f"{base}/healthz", timeout=5) as answer:  # noqa: S310  (our own)
            return bool(answer.status == 200)  # noqa: PLR2004  (success, in HTTP)
    except OSError:
        return False


def _call(base: str, path: str, body: dict[str, str], token: str = "") -> dict[str, Any]:
    headers = {"Content-Type": "application/json", "Idempotency-Key": f"drill-{secrets.token_hex(8)}"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(base + path, json.dumps(body).encode(), headers)  # noqa: S310  (our own)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            told: dict[str, Any] = json.loads(answer.read())
            return told
    except urllib.error.HTTPError as error:
        with error:
            raise BackupError(f"{path} was answered {error.code}: {error.read().decode()[:500]}") from error
    except OSError as error:
        raise BackupError(f"{path} got no answer: {error}") from error
