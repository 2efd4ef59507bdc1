"""The machine's own apt sources, so that hosts use the mirror that this machine uses."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from tests.hosts.command import HostsError

_APT = Path("/etc/apt")
_SUITES = ("", "-updates", "-security")


class Source(msgspec.Struct, frozen=True, order=True):
    """One suite of one archive."""

    uri: str
    suite: str
    components: tuple[str, ...]


def machine_sources(folder: Path = _APT) -> list[Source]:
    """Every binary package source that apt on this machine knows, in a stable order."""
    found: set[Source] = set()
    lists = sorted((folder / "sources.list.d").glob("*.list"))
    for path in [folder / "sources.list", *lists]:
        if path.is_file():
            found.update(parse_lines(path.read_text()))
    for path in sorted((folder / "sources.list.d").glob("*.sources")):
        found.update(parse_deb822(path.read_text()))
    return sorted(found)


def parse_lines(text: str) -> Iterator[Source]:
    """Read apt's one-line format, see sources.list(5)."""
    for line in text.splitlines():
        words = line.split("#")[0].split()
        if not words or words[0] != "deb":
            continue
        if words[1].startswith("["):
            end = next(place for place, word in enumerate(words) if word.endswith("]"))
            del words[1 : end + 1]
        yield Source(words[1], words[2], tuple(words[3:]))


def parse_deb822(text: str) -> Iterator[Source]:
    """Read apt's deb822 format, see sources.list(5)."""
    kept = [line for line in text.splitlines() if not line.startswith("#")]
    for stanza in "\n".join(kept).split("\n\n"):
        fields: dict[str, list[str]] = {}
        name = ""
        for line in stanza.splitlines():
            if line[:1] not in (" ", "\t"):
                name, _, line = line.partition(":")  # noqa: PLW2901  (the rest of the line is the value)
            fields.setdefault(name.strip().lower(), []).extend(line.split())
        if "deb" in fields.get("types", []) and fields.get("enabled") != ["no"]:
            for uri in fields.get("uris", []):
                for suite in fields.get("suites", []):
                    yield Source(uri, suite, tuple(fields.get("components", [])))


def debian_sources(sources: Iterable[Source], machine_release: str, release: str) -> str:
    """The lines of a test host's sources.list: the machine's archives of Debian itself, for `release`.

    Archives that speak TLS are reached through the package cache, which then fetches by https.

    Raises:
        HostsError: the machine has no source for its own release.
    """
    wanted = {machine_release + suffix: release + suffix for suffix in _SUITES}
    lines = [
        f"deb {source.uri.replace('https://', 'http://HTTPS///')} {wanted[source.suite]} main"
        for source in sources
        if source.suite in wanted and source.components
    ]
    if not any(f" {release} " in line for line in lines):
        raise HostsError(f"apt on this machine has no source for {machine_release!r}; looked below {_APT}")
    return "".join(f"{line}\n" for line in dict.fromkeys(lines))


def machine_release(os_release: Path = Path("/etc/os-release")) -> str:
    """This machine's Debian release, such as "bookworm".

    Raises:
        HostsError: the file does not say.
    """
    for line in os_release.read_text().splitlines():
        key, _, value = line.partition("=")
        if key == "VERSION_CODENAME" and value:
            return value.strip('"')
    raise HostsError(f"{os_release} names no VERSION_CODENAME; give the release with --release")
