"""Images: the read-only folders below every host, built once and kept by the hash of their recipe."""

import hashlib
import platform
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from tests.hosts.command import run
from tests.hosts.sources import debian_sources, machine_release, machine_sources
from tests.hosts.store import Store

BASE_PACKAGES = (
    "ca-certificates",
    "curl",
    "dbus",
    "iproute2",
    "iputils-ping",
    "libpam-systemd",
    "openssh-server",
    "procps",
    "python3",
    "python3-apt",
    "sudo",
    "systemd",
    "systemd-sysv",
)

_HERE = Path(__file__).parent
_PREPARE = _HERE / "prepare-base.sh"
_INIT = _HERE / "init.sh"
_FORMAT = 1  # raise it when an image must be rebuilt though its recipe reads the same
_KEY_LENGTH = 12  # hexadecimal digits
_BUILD_TIMEOUT = 1800.0  # seconds
_ARCHIVE_TIMEOUT = 600.0  # seconds
_TAR = ["tar", "--zstd", "--xattrs", "--xattrs-include=*", "--numeric-owner"]
_LEAVE_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*")


class BaseRecipe(msgspec.Struct, frozen=True):
    """A plain Debian host."""

    release: str
    packages: tuple[str, ...] = BASE_PACKAGES
    architecture: str = platform.machine()
    scripts: tuple[str, ...] = (_PREPARE.read_text(), _INIT.read_text())
    format: int = _FORMAT

    @property
    def name(self) -> str:
        """The image's name, which changes with anything in the recipe."""
        return f"{self.release}-{_key(self)}"


class LayerRecipe(msgspec.Struct, frozen=True):
    """Debian packages installed on top of a base."""

    base: str
    packages: tuple[str, ...]

    @classmethod
    def of(cls, base: BaseRecipe, packages: Iterable[str]) -> "LayerRecipe":
        """The layer of these packages; their order and repetitions do not matter."""
        return cls(base.name, tuple(sorted(set(packages))))

    @property
    def name(self) -> str:
        """The image's name, which changes with anything in the recipe or its base's."""
        return f"layer-{_key(self)}"


class Images:
    """The images of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, name: str, build: Callable[[Path], None]) -> Path:
        """The folder of an image: as it stands, unpacked from its archive, or built.

        Two callers at once build it once; a build that broke off leaves nothing that looks finished.

        Args:
            build: fills the folder that it is given, which does not exist yet.
        """
        self._store.images.mkdir(parents=True, exist_ok=True)
        folder = self._store.images / name
        archive = folder.with_name(f"{name}.tar.zst")
        draft = folder.with_name(f"{name}.draft")
        with self._store.lock(f"image-{name}"):
            if folder.is_dir():
                return folder
            if draft.exists():
                shutil.rmtree(draft)
            if archive.is_file():
                draft.mkdir()
                run([*_TAR, "-xpf", archive, "-C", draft], timeout=_ARCHIVE_TIMEOUT)
            else:
                build(draft)
                unfinished = archive.with_suffix(".draft")
                run([*_TAR, "-cf", unfinished, "-C", draft, "."], timeout=_ARCHIVE_TIMEOUT)
                unfinished.replace(archive)
            draft.replace(folder)
        return folder

    def remove_unused(self) -> list[str]:
        """Remove every image that no fleet stands on and return their names."""
        used = {layer for plan in self._store.plans() for layer in plan.layers}
        removed = []
        for folder in sorted(path for path in self._store.images.glob("*") if path.is_dir()):
            if folder not in used:
                shutil.rmtree(folder)
                folder.with_name(f"{folder.name}.tar.zst").unlink(missing_ok=True)
                removed.append(folder.name)
        return removed


def base_recipe(release: str | None = None) -> BaseRecipe:
    """The recipe of a plain host; None is this machine's own release."""
    return BaseRecipe(release or machine_release())


def build_base(recipe: BaseRecipe, proxy: str, root: Path) -> None:
    """Install Debian below `root`, from the machine's own archives through the package cache at `proxy`."""
    sources = debian_sources(machine_sources(), machine_release(), recipe.release)
    run(
        [
            "mmdebstrap",
            "--quiet",
            "--mode=root",
            "--variant=minbase",
            f"--include={','.join(recipe.packages)}",
            f'--aptopt=Acquire::http::Proxy "{proxy}";',
            '--aptopt=Acquire::Languages "none";',
            *(f"--dpkgopt=path-exclude={pattern}" for pattern in _LEAVE_OUT),
            "--dpkgopt=force-unsafe-io",
            # A host without lists would take `cache_valid_time` for met: "No package matching ...".
            "--skip=cleanup/apt/lists",
            recipe.release,
            root,
            "-",
        ],
        stdin=sources,
        timeout=_BUILD_TIMEOUT,
    )
    run([_PREPARE, root, _INIT])


def _key(recipe: BaseRecipe | LayerRecipe) -> str:
    return hashlib.sha256(msgspec.json.encode(recipe)).hexdigest()[:_KEY_LENGTH]
