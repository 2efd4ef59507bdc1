"""Action `build_release`: a release's archives, built on the controller for one host's Python.

Arguments:
    project: the checkout's directory.
    cache: directory for what is built and downloaded; anything in it may be deleted.
    kinds: the kinds of process, each a file `locks/KIND.txt`.
    target: what the module `python_target` found on the host. Without it only the version is told.

Returns `version`, `commit` and, with a target, `archives` (kind → path of a tar file). An archive holds

    bin/uv             the installer, for the host's platform
    wheelhouse/        every wheel of that kind, each checked against the lock's hashes
    requirements.txt   what to install: exact versions and hashes, no markers left
    MANIFEST.json      what this is: release, commit, packages, migrations, and a hash of a bot's code

The version is the project's own and a hash of everything that a release is made from, so that an
unchanged checkout is the same release. Wheels come through pip, from wherever this machine's own pip
configuration says.
"""

from __future__ import annotations

import ast
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from packaging.requirements import Requirement

INSTALLER = "bootstrap"  # the lock file of uv
SOURCES = ("app", "templates", "pyproject.toml")
EXTRAS = ("README.md", "LICENSE", "NOTICE")  # in the wheel's metadata only
HASH_LENGTH = 12  # characters of the release's hash
OLDEST_GLIBC = 17  # of manylinux_2_17, the oldest that wheels are published for
COMMIT_FILE = ".commit"  # in what the action `export_version` made of a commit
PACKAGE = "orbitbot"
BOT_ROOTS = ("__init__.py", "cli.py", "bot/**/*.py")  # of what a bot imports
KEPT_RELEASES = 5  # in the cache
KEPT_WHEELS = 12  # sets of wheels in the cache: installer and three kinds, for three kinds of hosts
_EPOCH = 315532800  # 1980-01-01, the earliest time that a wheel's zip can hold


class ActionModule(ActionBase):
    """See the module's text."""

    _VALID_ARGS = frozenset({"project", "cache", "kinds", "target"})
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Tell the version, and build what is not in the cache yet."""
        super().run(tmp, task_vars)
        arguments = self._task.args
        project, kinds = Path(arguments["project"]), list(arguments["kinds"])
        version, commit = release_version(project), commit_of(project)
        result = {"changed": False, "version": version, "commit": commit}
        if not arguments.get("target") or self._task.check_mode:
            return result
        try:
            with one_at_a_time(Path(arguments["cache"])) as cache:
                build = Build(project, cache, version, commit, arguments["target"])
                archives = {kind: str(build.archive(kind)) for kind in kinds}
                remove_oldest(cache / "releases", KEPT_RELEASES)
                remove_oldest(cache / "wheels", KEPT_WHEELS)
        except subprocess.CalledProcessError as error:
            raise AnsibleActionFail(
                f"`{' '.join(error.cmd[:4])} …` failed: {error.stderr.strip()}"
            ) from error
        return result | {"changed": build.built, "archives": archives}


@contextmanager
def one_at_a_time(cache: Path) -> Iterator[Path]:
    """Several hosts ask at once: the first one builds, the others find it in the cache."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield cache


def remove_oldest(folder: Path, kept: int) -> None:
    """Delete all but the `kept` directories that were used last."""
    by_age = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in by_age[kept:]:
        shutil.rmtree(path)


def release_files(project: Path) -> Iterator[Path]:
    """Everything that decides what a release is, sorted."""
    locks = sorted(path for path in (project / "locks").glob("*.txt") if path.name != "control.txt")
    for source in (*(project / each for each in SOURCES), *locks):
        found = sorted(source.rglob("*")) if source.is_dir() else [source]
        yield from (path for path in found if path.is_file() and "__pycache__" not in path.parts)


def release_version(project: Path) -> str:
    """The project's version, `+`, and a hash of the names and contents of `release_files`."""
    total = hashlib.sha256()
    for path in release_files(project):
        total.update(f"{path.relative_to(project)}\0".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    version = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    return f"{version}+{total.hexdigest()[:HASH_LENGTH]}"


def commit_of(project: Path) -> str:
    """The checkout's commit, with `-dirty` when it has changes; `unknown` where there is no git."""
    if (project / COMMIT_FILE).exists():
        return (project / COMMIT_FILE).read_text("utf-8").strip()
    command = ["git", "-C", str(project), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  (fixed words)
    except FileNotFoundError:
        return "unknown"
    return done.stdout.strip() or "unknown"


def migrations_of(project: Path) -> list[str]:
    """The names of the release's migrations, in order."""
    return sorted(path.name for path in (project / "app/orbitbot/foundation/migrations").glob("*.sql"))


def bot_files(project: Path) -> list[Path]:
    """What decides how a bot behaves: its modules, those that they import, its packages."""
    package = project / "app" / PACKAGE
    waiting = [path for pattern in BOT_ROOTS for path in package.glob(pattern)]
    found: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _imported(package, path)
    return sorted(found | {project / "locks/bot.txt"})


def _imported(package: Path, path: Path) -> list[Path]:
    """The files of this package that a module imports, at its top or anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{each.name}" for each in node.names)}
    paths = []
    for name in names:
        first, *rest = name.split(".")
        if first == PACKAGE:
            for count in range(len(rest) + 1):
                place = package.joinpath(*rest[:count])
                paths += [
                    each for each in (place.with_suffix(".py"), place / "__init__.py") if each.is_file()
                ]
    return paths


def bot_code(project: Path) -> str:
    """A hash over `bot_files`: two releases with the same one have the same bot."""
    total = hashlib.sha256()
    for path in bot_files(project):
        total.update(f"{path.relative_to(project)}\0".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def pinned(lock: str, environment: Mapping[str, str]) -> list[str]:
    """The requirements of a lock file that apply in a marker environment, with hashes, without markers.

    Raises:
        ValueError: a requirement is not pinned to one version, or has no hash.
    """
    requirements = []
    for line in re.sub(r"\\\n", " ", lock).splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        text, *hashes = re.split(r"\s+--hash=", line.strip())
        requirement = Requirement(text)
        if not hashes or not re.fullmatch(r"==[^,*]+", str(requirement.specifier)):
            raise ValueError(f"the lock does not pin {text!r} to one version with hashes")
        if requirement.marker is None or requirement.marker.evaluate(dict(environment)):
            hashed = "".join(f" --hash={each.strip()}" for each in hashes)
            requirements.append(f"{requirement.name}{requirement.specifier}{hashed}")
    return requirements


def platform_tags(machine: str, glibc: str) -> list[str]:
    """The platforms whose wheels run on a host, newest first."""
    major, minor = (int(part) for part in glibc.split(".")[:2])
    if major != 2:  # noqa: PLR2004  (glibc 2 is all there has been since 1997)
        raise ValueError(f"glibc {glibc} is not supported: wheels are published for glibc 2")
    tags = [f"manylinux_2_{each}_{machine}" for each in range(minor, OLDEST_GLIBC - 1, -1)]
    if machine == "x86_64":
        tags += [f"manylinux_2_{each}_{machine}" for each in (12, 5)]
        return [*tags, "manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64"]
    return [*tags, f"manylinux2014_{machine}"]


class Build:
    """Builds the archives of one release for one target.

    Attributes:
        built: whether anything had to be built.
    """

    def __init__(
        self, project: Path, cache: Path, version: str, commit: str, target: Mapping[str, Any]
    ) -> None:
        self._project = project
        self._cache = cache
        self._version = version
        self._commit = commit
        self._target = target
        self.built = False

    def archive(self, kind: str) -> Path:
        """The tar file of `kind`."""
        python = "".join(self._target["python"].split(".")[:2])
        name = f"{kind}-cp{python}-glibc{self._target['glibc']}-{self._target['machine']}.tar"
        path = self._cache / "releases" / self._version / name
        if path.exists():
            path.parent.touch()  # it was used
            return path
        self.built = True
        requirements = self._pinned(kind)
        installer = self._wheels(self._pinned(INSTALLER))
        wheels = self._wheels(requirements)
        own = self._own_wheel()
        own_hash = hashlib.sha256(own.read_bytes()).hexdigest()
        requirements.append(f"orbitbot=={self._version} --hash=sha256:{own_hash}")
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            draft = Path(folder)
            _extract_installer(next(installer.glob("uv-*.whl")), draft / "bin")
            shutil.copytree(wheels, draft / "wheelhouse", copy_function=os.link)
            shutil.copy(own, draft / "wheelhouse")
            (draft / "requirements.txt").write_text("".join(f"{each}\n" for each in requirements), "utf-8")
            manifest = {
                "version": self._version,
                "commit": self._commit,
                "kind": kind,
                "python": self._target["python"],
                "requirements": [each.split(" --hash=")[0] for each in requirements],
                "migrations": migrations_of(self._project),
                "bot_code": bot_code(self._project),
            }
            (draft / "MANIFEST.json").write_text(json.dumps(manifest, indent=2) + "\n", "utf-8")
            packed = draft / "archive.tar"
            with tarfile.open(packed, "w") as archive:
                for name in ("bin", "wheelhouse", "requirements.txt", "MANIFEST.json"):
                    archive.add(draft / name, name, filter=_as_root)
            packed.replace(path)
        return path

    def _pinned(self, lock: str) -> list[str]:
        path = self._project / "locks" / f"{lock}.txt"
        return pinned(path.read_text("utf-8"), self._target["markers"])

    def _wheels(self, requirements: list[str]) -> Path:
        """A directory with exactly the wheels of `requirements`; downloaded once for each set of them."""
        tags = platform_tags(self._target["machine"], self._target["glibc"])
        python = self._target["python"]  # in full: packages may need a certain patch release
        key = hashlib.sha256("\n".join([python, *tags, *requirements]).encode()).hexdigest()
        path = self._cache / "wheels" / key[:16]
        if path.exists():
            path.touch()  # it was used
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            listed = Path(folder) / "requirements.txt"
            listed.write_text("".join(f"{each}\n" for each in requirements), "utf-8")
            wheels = Path(folder) / "wheels"
            _run(
                [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
                + ["--only-binary=:all:", "--implementation=cp", f"--python-version={python}"]
                + [f"--platform={tag}" for tag in tags]
                + ["--dest", str(wheels), "--requirement", str(listed)]
            )
            wheels.replace(path)
        return path

    def _own_wheel(self) -> Path:
        """This project's wheel, under the release's version."""
        folder = self._cache / "releases" / self._version
        for path in folder.glob("orbitbot-*.whl"):
            return path
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as staging:
            source = Path(staging) / "source"
            for name in (*SOURCES, *EXTRAS, "locks"):
                _copy(self._project / name, source / name)
            if release_version(source) != self._version:
                raise AnsibleActionFail("the checkout changed while the release was built: run this again")
            settings = source / "pyproject.toml"
            text, count = re.subn(
                r'^version = ".*"$',
                f'version = "{self._version}"',
                settings.read_text("utf-8"),
                count=1,
                flags=re.MULTILINE,
            )
            if count != 1:
                raise AnsibleActionFail(
                    'pyproject.toml has no line `version = "…"` to put the release\'s into'
                )
            settings.write_text(text, "utf-8")
            _run(
                [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", staging],
                cwd=source,
                env=os.environ | {"SOURCE_DATE_EPOCH": str(_EPOCH)},
            )
            wheel = next(Path(staging).glob("orbitbot-*.whl"))
            return wheel.replace(folder / wheel.name)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    else:
        shutil.copy(source, target)


def _extract_installer(wheel: Path, folder: Path) -> None:
    """Take the program `uv` out of its wheel."""
    folder.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        member = next(name for name in archive.namelist() if name.endswith(".data/scripts/uv"))
        (folder / "uv").write_bytes(archive.read(member))
    (folder / "uv").chmod(0o755)


def _as_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    return member


def _run(command: list[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> None:
    subprocess.run(  # noqa: S603  (no shell; the words are this file's own)
        command, cwd=cwd, env=env, check=True, capture_output=True, text=True
    )
