"""apt's own sources become the hosts' sources."""

from pathlib import Path

import pytest

from tests.hosts.command import HostsError
from tests.hosts.sources import (
    Source,
    debian_sources,
    machine_release,
    machine_sources,
    parse_deb822,
    parse_lines,
)

DEB822 = """\
# the main archive
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: bookworm
 bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/archive.gpg

Types: deb-src
URIs: http://sources.example/debian
Suites: bookworm
Components: main

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
"""

LINES = """\
# deb http://off.example/debian bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/a.gpg] https://mirror.example/debian bookworm main x # why
deb-src http://sources.example/debian bookworm main
deb http://mirror.example/security bookworm-security main
"""


def test_deb822_sources_are_read() -> None:
    assert list(parse_deb822(DEB822)) == [
        Source("http://mirror.example/debian", "bookworm", ("main", "contrib")),
        Source("http://mirror.example/debian", "bookworm-updates", ("main", "contrib")),
    ]


def test_one_line_sources_are_read() -> None:
    assert list(parse_lines(LINES)) == [
        Source("https://mirror.example/debian", "bookworm", ("main", "x")),
        Source("http://mirror.example/security", "bookworm-security", ("main",)),
    ]


def test_all_files_of_apt_are_read(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text(LINES)
    (tmp_path / "sources.list.d" / "debian.sources").write_text(DEB822)
    (tmp_path / "sources.list.d" / "more.list").write_text("deb http://more.example/debian sid main\n")
    (tmp_path / "sources.list.d" / "ignored.save").write_text("deb http://old.example/debian sid main\n")
    assert {source.uri for source in machine_sources(tmp_path)} == {
        "http://mirror.example/debian",
        "https://mirror.example/debian",
        "http://mirror.example/security",
        "http://more.example/debian",
    }


def test_hosts_get_debians_own_archives_only() -> None:
    sources = [
        Source("http://mirror.example/debian", "bookworm", ("main",)),
        Source("http://mirror.example/security", "bookworm-security", ("main", "contrib")),
        Source("http://vendor.example/apt", "vendor-bookworm", ("main",)),
        Source("http://vendor.example/flat", "./", ()),
    ]
    assert debian_sources(sources, "bookworm", "bookworm") == (
        "deb http://mirror.example/debian bookworm main\n"
        "deb http://mirror.example/security bookworm-security main\n"
    )


def test_another_release_comes_from_the_same_mirror() -> None:
    sources = [Source("http://mirror.example/debian", "bookworm", ("main",))]
    assert debian_sources(sources, "bookworm", "trixie") == "deb http://mirror.example/debian trixie main\n"


def test_a_mirror_that_speaks_tls_is_reached_through_the_package_cache() -> None:
    sources = [Source("https://mirror.example/debian", "bookworm", ("main",))]
    assert debian_sources(sources, "bookworm", "bookworm") == (
        "deb http://HTTPS///mirror.example/debian bookworm main\n"
    )


def test_a_machine_without_debians_archive_is_told_so() -> None:
    sources = [Source("http://mirror.example/security", "bookworm-security", ("main",))]
    with pytest.raises(HostsError, match="no source for 'bookworm'"):
        debian_sources(sources, "bookworm", "bookworm")


def test_the_machines_release_is_read(tmp_path: Path) -> None:
    file = tmp_path / "os-release"
    file.write_text('ID=debian\nVERSION_CODENAME="bookworm"\n')
    assert machine_release(file) == "bookworm"
    file.write_text("ID=debian\n")
    with pytest.raises(HostsError, match="VERSION_CODENAME"):
        machine_release(file)
