"""Settings files: what is wrong is named, with file and field."""

from pathlib import Path

import pytest

from orbitbot.foundation.errors import SettingsError
from orbitbot.foundation.settings import DatabaseSettings, ListenSettings, load_settings, read_secret


def test_a_good_file_gives_the_struct_with_its_defaults(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text("port = 3000\nworkers = 2\n")
    assert load_settings(file, ListenSettings) == ListenSettings(port=3000, workers=2)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("port = 3000\nwokers = 2\n", "wokers"),
        ("workers = 2\n", "port"),
        ('port = "x"\n', "port"),
        ("port = \n", "not valid TOML"),
    ],
)
def test_a_wrong_file_is_named_with_the_field(tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "s.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_settings(file, ListenSettings)
    assert str(file) in caught.value.detail
    assert named in caught.value.detail


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.toml"):
        load_settings(tmp_path / "nowhere.toml", DatabaseSettings)


def test_a_secret_is_read_without_its_newline(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("s3cret\n")
    assert read_secret(file) == "s3cret"
    file.write_text("\n")
    with pytest.raises(SettingsError, match="empty"):
        read_secret(file)
