"""Reads the commands of a documentation page and runs them, so that what a page says stays true.

A command is a line that begins with `$ ` in a fence tagged `console`; lines that begin with `> ` continue it.
What follows is the output to expect, loosely: each line must be found in the output, in this order; `…` in
a line stands for anything, and alone on a line for any lines.

    ```console
    $ ansible-playbook -i inventory/local playbooks/status.yml
    …
      gateway  ready …
    ```

A fence that a test cannot run says why in a comment on the line above it:
`<!-- not run: asks for a password -->`.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).parents[2]
ANYTHING: Final = "…"
_HEADING = re.compile(r"^#{1,6} (.+)$")
_NOT_RUN = re.compile(r"^<!-- not run: (.+) -->$")


@dataclass(frozen=True)
class Command:
    """One command of a page and the output that the page promises.

    Attributes:
        where: page and line.
        section: the heading that it stands under.
        not_run: why a test cannot run it; empty when it can.
    """

    where: str
    section: str
    text: str
    expected: tuple[str, ...]
    not_run: str = ""


def headings(page: Path) -> list[str]:
    """The page's headings, in order, without those in fences."""
    return [heading for _, line, fenced in _lines(page) if not fenced for heading in _HEADING.findall(line)]


def commands(page: Path) -> list[Command]:
    """The page's commands, in order.

    Raises:
        ValueError: a `console` fence does not begin with a command, or has a "not run" without a reason.
    """
    found: list[Command] = []
    section, before, not_run, inside, begun = "", "", "", False, False
    for number, line, fenced in _lines(page):
        if line.startswith("```"):
            inside, begun = line.strip() == "```console", False
            match = _NOT_RUN.match(before.strip())
            not_run = match[1] if inside and match else ""
        elif inside and line.startswith("$ "):
            found.append(Command(f"{page.name}:{number}", section, line[2:], (), not_run))
            begun = True
        elif inside:
            if not begun:
                raise ValueError(f"{page.name}:{number}: a console fence begins with a command: `$ …`")
            found[-1] = _continued(found[-1], line)
        elif not fenced and (heading := _HEADING.match(line)):
            section = heading[1]
        before = line
    return found


def _continued(command: Command, line: str) -> Command:
    if line.startswith("> ") and not command.expected:
        text, expected = f"{command.text}\n{line[2:]}", command.expected
    else:
        text, expected = command.text, (*command.expected, line)
    return Command(command.where, command.section, text, expected, command.not_run)


def _lines(page: Path) -> Iterator[tuple[int, str, bool]]:
    """Number, text and whether it belongs to a fence (its first and last line included)."""
    fenced = False
    for number, line in enumerate(page.read_text("utf-8").splitlines(), start=1):
        marks = line.startswith("```")
        yield number, line, fenced or marks
        fenced = fenced != marks


def missing_line(expected: Sequence[str], output: str) -> str | None:
    """The first expected line that the output does not have after the ones before it; None if it has all."""
    rest = iter(output.splitlines())
    for line in expected:
        if line.strip() in ("", ANYTHING):
            continue
        pattern = re.compile(".*".join(re.escape(part) for part in line.strip().split(ANYTHING)))
        if not any(pattern.fullmatch(each.strip()) for each in rest):
            return line
    return None


def run(
    command: Command,
    timeout: float = 280.0,
    *,
    checkout: Path = REPOSITORY,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run a command as an operator does, in the checkout with the virtual environment; returns its output.

    Raises:
        AssertionError: it failed, or its output lacks a line that the page promises.
    """
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", command.text],
        cwd=checkout,
        env=os.environ | {"PATH": path, "ANSIBLE_NOCOLOR": "1"} | dict(environment or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=timeout,
    )
    said = f"{command.where}: $ {command.text}\n{done.stdout}"
    if done.returncode:
        raise AssertionError(f"exit status {done.returncode}\n{said}")
    missing = missing_line(command.expected, done.stdout)
    if missing is not None:
        raise AssertionError(f"the output lacks the line {missing!r}\n{said}")
    return done.stdout
