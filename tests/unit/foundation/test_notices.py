"""The texts in `templates/notices`."""

from pathlib import Path

import pytest

from orbitbot.foundation import notices
from orbitbot.foundation.notices import notice, templates


@pytest.mark.parametrize("name", ["no_answer", "not_heard", "voice_waits"])
def test_every_language_has_every_notice(name: str) -> None:
    folders = [folder for folder in (templates() / "notices").iterdir() if folder.is_dir()]
    assert {"pt", "en"} <= {folder.name for folder in folders}
    texts = [notice(name, folder.name) for folder in folders]
    assert all(texts)
    assert len(set(texts)) == len(folders)


def test_a_tag_falls_back_to_its_language_and_that_to_english() -> None:
    assert notice("no_answer", "pt-BR") == notice("no_answer", "pt")
    assert notice("no_answer", "gn") == notice("no_answer", "en")
    assert notice("no_answer", "../../notices/pt") == notice("no_answer", "en")
    assert notice("no_answer", "") == notice("no_answer", "en")


def test_the_packaged_templates_are_preferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in an installed wheel, where `templates` lies inside the package."""
    (tmp_path / "templates").mkdir()
    monkeypatch.setattr(notices, "files", lambda package: tmp_path)
    assert templates() == tmp_path / "templates"
