"""`/etc/orbitbot/backup/settings.toml`, as role `backup` writes it. Unknown or missing keys are refused."""

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar, get_args

from orbitbot_backup.errors import BackupError

T = TypeVar("T")

DEFAULT = Path("/etc/orbitbot/backup/settings.toml")


@dataclass(frozen=True)
class Cluster:
    """The PostgreSQL cluster that is backed up.

    Attributes:
        stanza: pgBackRest's name for it.
        version: such as "15".
        port: of the running server.
    """

    stanza: str
    version: str
    port: int
    database: str

    @property
    def data(self) -> Path:
        """The data directory, where Debian puts it."""
        return Path(f"/var/lib/postgresql/{self.version}/main")

    @property
    def configuration(self) -> Path:
        """The directory of its configuration files."""
        return Path(f"/etc/postgresql/{self.version}/main")

    @property
    def binaries(self) -> Path:
        """The directory of its programs."""
        return Path(f"/usr/lib/postgresql/{self.version}/bin")


@dataclass(frozen=True)
class Restic:
    """This host's restic repository.

    Attributes:
        sftp_command: how restic reaches it; empty where it is a local directory or S3.
        environment_file: `NAME=value` lines for restic, such as S3 keys; empty for none.
        ca_file: of the authority of S3's certificate; empty for the system's.
        keep_daily: … how many daily, weekly and monthly snapshots stay.
        read_percent: share of the repository's data that each verification reads.
    """

    repository: str
    password_file: str
    sftp_command: str
    environment_file: str
    ca_file: str
    keep_daily: int
    keep_weekly: int
    keep_monthly: int
    read_percent: int


@dataclass(frozen=True)
class Job:
    """When a job must have succeeded last, in hours, before somebody is told."""

    max_age_hours: float


@dataclass(frozen=True)
class DatabaseJob(Job):
    """pgBackRest's backups: a full one every so many days, incremental ones in between."""

    full_days: int


@dataclass(frozen=True)
class DumpJob(Job):
    """The logical dump."""


@dataclass(frozen=True)
class FilesJob(Job):
    """What restic keeps.

    Attributes:
        bots: directory of the bots' state directories; empty where no bots are.
        paths: files and directories that are kept as they are; missing ones are left out.
    """

    bots: str
    paths: list[str]


@dataclass(frozen=True)
class DrillJob(Job):
    """The restore drill.

    Attributes:
        repository: the restic repository in which the database host keeps its dumps.
        password_file: opens it.
        release: the release whose gateway is started on the restored database.
        port: first of three that the drill's services listen on, on loopback.
    """

    repository: str
    password_file: str
    release: str
    port: int


@dataclass(frozen=True)
class Settings:
    """Everything that the program is told.

    Attributes:
        generation: of the repositories: another vault makes new ones, and old records say nothing of them.
    """

    host: str
    generation: str
    state: str
    metrics: str
    cluster: Cluster | None
    restic: Restic
    database: DatabaseJob | None
    dump: DumpJob | None
    files: FilesJob | None
    drill: DrillJob | None

    @property
    def since(self) -> float:
        """Unix time at which this host's backups were set up; nothing is overdue before its age is over."""
        try:
            return (Path(self.state) / f"since-{self.generation}").stat().st_mtime
        except OSError:
            return 0.0

    @property
    def jobs(self) -> dict[str, Job]:
        """The jobs of this host, by name."""
        all_jobs = {"database": self.database, "dump": self.dump, "files": self.files, "drill": self.drill}
        return {name: job for name, job in all_jobs.items() if job is not None}


def load(path: Path = DEFAULT) -> Settings:
    """Read the settings.

    Raises:
        BackupError: they cannot be read, or a key is missing or unknown; names it.
    """
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise BackupError(f"{path}: {error}") from error
    return _build(Settings, content, str(path))


def _build(kind: type[T], content: dict[str, Any], where: str) -> T:
    values: dict[str, Any] = {}
    unknown = content.keys() - {field.name for field in fields(kind)}  # type: ignore[arg-type]
    if unknown:
        raise BackupError(f"{where}: unknown key {min(unknown)}")
    for field in fields(kind):  # type: ignore[arg-type]
        optional = type(None) in get_args(field.type)
        inner = next((each for each in (field.type, *get_args(field.type)) if _is_table(each)), None)
        if field.name not in content:
            if not optional:
                raise BackupError(f"{where}: {field.name} is missing")
            values[field.name] = None
        elif inner is not None:
            values[field.name] = _build(inner, content[field.name], f"{where}: {field.name}")
        else:
            values[field.name] = content[field.name]
    return kind(**values)


def _is_table(kind: Any) -> bool:
    return isinstance(kind, type) and hasattr(kind, "__dataclass_fields__")
