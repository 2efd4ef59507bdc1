"""Each playbook has its runbook page, and what a page names exists. `tests/acceptance` runs the commands."""

import re
from pathlib import Path

import pytest
import yaml

from tests.ansible.conftest import REPOSITORY
from tests.support import runbook

PAGES = sorted(path for path in (REPOSITORY / "docs/runbooks").glob("*.md") if path.name != "index.md")
HEADINGS = ["Meaning", "Impact", "Diagnosis", "Mitigation", "Verify", "Undo"]
PART_OF = {"summary": "up"}  # playbooks that another page tells of

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)


def test_every_playbook_and_make_target_that_deploys_has_its_page() -> None:
    playbooks = {PART_OF.get(path.stem, path.stem) for path in (REPOSITORY / "playbooks").glob("*.yml")}
    assert {page.stem for page in PAGES} == playbooks | {"up", "down", "add-host"}


def test_the_index_leads_to_every_page() -> None:
    index = (REPOSITORY / "docs/runbooks/index.md").read_text()
    assert set(re.findall(r"\]\(([a-z-]+\.md)\)", index)) == {page.name for page in PAGES}


@every_page
def test_a_page_has_the_headings_in_their_order(page: Path) -> None:
    title, *rest = runbook.headings(page)
    assert title
    assert rest == HEADINGS


@every_page
def test_a_page_has_commands_for_diagnosis_mitigation_and_verification(page: Path) -> None:
    assert {"Diagnosis", "Mitigation", "Verify"} <= {command.section for command in runbook.commands(page)}


@every_page
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


@every_page
def test_playbooks_values_targets_and_variables_that_a_page_names_exist(page: Path) -> None:
    text = page.read_text()
    for name in re.findall(r"playbooks/([a-z-]+)\.yml", text):
        assert (REPOSITORY / f"playbooks/{name}.yml").exists(), name
    for line in re.findall(r"playbooks/[a-z-]+\.yml.*-e .*", text):
        (playbook,) = set(re.findall(r"playbooks/([a-z-]+)\.yml", line))
        values = (REPOSITORY / f"playbooks/{playbook}.yml").read_text()
        for value in re.findall(r"-e \"?([a-z_]+)=", line):
            assert re.search(rf"-e \"?{value}=", values), f"{playbook}: {value}"
    targets = re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    for target in re.findall(r"(?:^\$ |`|\[)make ([a-z-]+)", text, re.MULTILINE):
        assert target in targets, target
    for path in re.findall(r"\b((?:templates|inventory|tests)/[\w./-]+\.\w+)", text):
        assert (REPOSITORY / path).exists(), path


@every_page
def test_variables_in_a_pages_tables_are_declared_by_a_role(page: Path) -> None:
    declared = set()
    for path in (REPOSITORY / "roles").glob("*/meta/argument_specs.yml"):
        for entry in yaml.safe_load(path.read_text())["argument_specs"].values():
            declared |= entry.get("options", {}).keys()
    prefixes = {name.partition("_")[0] for name in declared}
    named = re.findall(r"`([a-z]+_[a-z_]+)`", page.read_text())
    assert {name for name in named if name.partition("_")[0] in prefixes} <= declared


def test_a_command_is_read_with_its_continuation_output_and_reason(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# T\n## Verify\n```console\n$ one |\n>   two\nout …\n$ three\n```\n"
        "<!-- not run: asks -->\n```console\n$ four\n```\n```\n# no heading\n```\n"
    )
    first, second, third = runbook.commands(page)
    assert (first.text, first.expected, first.section) == ("one |\n  two", ("out …",), "Verify")
    assert (second.text, second.expected, second.not_run) == ("three", (), "")
    assert (third.text, third.not_run) == ("four", "asks")
    assert runbook.headings(page) == ["T", "Verify"]


def test_a_fence_begins_with_a_command(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```console\nonly output\n```\n")
    with pytest.raises(ValueError, match=r"page\.md:2: a console fence begins with a command"):
        runbook.commands(page)


@pytest.mark.parametrize(
    ("expected", "missing"),
    [
        (["a … c", "d"], None),
        (["…", "d"], None),
        (["d", "a b c"], "a b c"),
        (["a … x"], "a … x"),
        (["b"], "b"),
    ],
)
def test_output_is_compared_line_by_line_and_in_order(expected: list[str], missing: str | None) -> None:
    assert runbook.missing_line(expected, "first\n  a b c\nd\n") == missing


def test_a_command_that_fails_or_says_something_else_is_an_error() -> None:
    runbook.run(runbook.Command("page.md:1", "Verify", "echo one", ("one",)))
    with pytest.raises(AssertionError, match="exit status 3"):
        runbook.run(runbook.Command("page.md:1", "Verify", "exit 3 | cat", ()))
    with pytest.raises(AssertionError, match="lacks the line 'two'"):
        runbook.run(runbook.Command("page.md:1", "Verify", "echo one", ("two",)))
