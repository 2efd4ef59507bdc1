"""A service's two slots behind nginx: the idle one is started and tried, then nginx is switched to it.

A service NAME has the programs `orbitbot-NAME-a` and `orbitbot-NAME-b`, each on a port of loopback, and a
*front*: a server of nginx at the address that everybody knows, which passes to one of the two and falls back
to the other one. The file of the front says which slot is the active one; it is replaced in one step. A slot
whose program file is in supervisor's directory is meant to run; the idle one's is removed once it has been
told to stop, so that a host that starts anew starts the active slots alone.

Everything is compared with what runs, so a run that was interrupted anywhere is made good by the next one.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import subprocess
import time
import urllib.parse
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ansible.module_utils.supervisor_rpc import STOPPED, Supervised, SupervisorError

SLOTS = ("a", "b")
SETTINGS = Path("/etc/orbitbot")
FRONTS = Path("/etc/orbitbot/fronts")
PROGRAMS = Path("/etc/supervisor/conf.d")
LOGS = Path("/var/log/orbitbot")
APPLIED = Path("/var/lib/orbitbot/services")
NGINX_PID = Path("/run/nginx.pid")
OK = 200
POLL_INTERVAL = 0.1  # seconds
REQUEST_TIMEOUT = 5.0  # seconds
RELOAD_TIMEOUT = 15.0  # seconds until nginx must serve the other slot
RELOAD_PROOFS = 3  # answers in a row that must come from the other slot
# What takes longer goes on by itself: a bot's stream keeps an old worker of nginx as long as its slot runs.
NGINX_SETTLE_SECONDS = 1.0  # for nginx's old workers to end
SLOT_SETTLE_SECONDS = 3.0  # for the old slots to end
CLOCK_SLACK = 2.0  # seconds; the kernel tells the time of boot in whole ones
_ACTIVE = re.compile(r"^# Active slot: ([ab])$", re.MULTILINE)


class SlotError(Exception):
    """The service could not be brought to what was asked for; what ran before still runs."""


@dataclass(frozen=True)
class Service:
    """A service as one release is to run it.

    Attributes:
        settings: content of its settings file.
        program: content of its program file, with the marks @SLOT@ and @PORT@.
        front: content of nginx's file, with the marks @SLOT@, @PORT@ and @OTHER_PORT@.
        url: the front's address.
        ports: of the two slots, on loopback.
        require_ready: whether /readyz must be 200 before nginx is switched; else /healthz is enough.
    """

    name: str
    release: str
    group: str
    settings: str
    program: str
    front: str
    url: str
    ports: tuple[int, int]
    stop_seconds: float
    ready_seconds: float
    require_ready: bool

    @classmethod
    def read(cls, path: Path) -> Service:
        """A service as `write` recorded it."""
        values: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return cls(**values | {"ports": tuple(values["ports"])})

    def write(self, path: Path) -> None:
        """Record it, for a way back to it."""
        path.parent.mkdir(mode=0o700, exist_ok=True)
        replace(path, json.dumps(asdict(self), indent=2) + "\n", mode=0o600)

    def port(self, slot: str) -> int:
        """The port of a slot."""
        return self.ports[SLOTS.index(slot)]


def replace(path: Path, text: str, mode: int = 0o644, group: str = "root") -> None:
    """Write a file in one step."""
    import grp  # noqa: PLC0415  (the controller, which loads this file for its tests, may be no Unix)

    draft = path.with_name(f".{path.name}.new")
    draft.write_text(text, "utf-8")
    os.chown(draft, 0, grp.getgrnam(group).gr_gid)
    draft.chmod(mode)
    draft.replace(path)


def link(path: Path, target: str) -> None:
    """Have `path` lead to `target`, in one step."""
    if path.is_symlink() and str(path.readlink()) == target:
        return
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    draft.symlink_to(target)
    draft.replace(path)


def text_of(path: Path) -> str:
    """A file's content; empty where there is none."""
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return ""


def other(slot: str) -> str:
    """The other slot."""
    return SLOTS[1 - SLOTS.index(slot)]


def active_slot(name: str) -> str:
    """The slot that nginx passes to; empty where the service has never run."""
    found = _ACTIVE.search(text_of(FRONTS / f"{name}.conf"))
    return found[1] if found else ""


def ask(url: str) -> tuple[int, dict[str, Any]]:
    """Status and JSON of a GET on a connection of its own; 0 where nobody answers."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=REQUEST_TIMEOUT)
    try:
        connection.request("GET", parts.path, headers={"Connection": "close"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"{}")
    except (OSError, http.client.HTTPException, ValueError):
        return 0, {}
    finally:
        connection.close()


class Nginx:
    """The nginx of this host; it reads the fronts when it is reloaded."""

    def is_loaded(self, name: str) -> bool:
        """Whether it has the front as the file is now."""
        master = self._master()
        recorded = text_of(APPLIED / f"front-{name}.applied").split()
        if recorded and recorded[0] == master:
            return recorded[1] == self._digest(name)
        return (
            bool(master)
            and self._started_at(master) > (FRONTS / f"{name}.conf").stat().st_ctime + CLOCK_SLACK
        )

    def reload(self, *names: str) -> None:
        """Have it read its files.

        Raises:
            SlotError: it does not run, or its files are wrong.
        """
        if not self._master():
            raise SlotError("nginx does not run on this host")
        self._run("-t", "-q")
        self._run("-s", "reload")
        APPLIED.mkdir(mode=0o755, parents=True, exist_ok=True)
        for name in names:
            (APPLIED / f"front-{name}.applied").write_text(
                f"{self._master()} {self._digest(name)}\n", "utf-8"
            )

    def settle(self, seconds: float) -> None:
        """Wait, so long at most, until workers that began before the last reload have ended."""
        _wait(lambda: not self._old_workers(), seconds)

    def _old_workers(self) -> bool:
        master = self._master().partition(":")[0]
        children = Path(f"/proc/{master}/task/{master}/children")
        titles = [text_of(Path(f"/proc/{pid}/cmdline")) for pid in text_of(children).split()]
        return any("shutting down" in title for title in titles)

    def _master(self) -> str:
        """The main process as `pid:start`; empty where there is none."""
        pid = text_of(NGINX_PID).strip()
        if not pid:
            return ""
        fields = text_of(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
        return f"{pid}:{fields[19]}" if fields else ""

    def _started_at(self, process: str) -> float:
        boot = re.search(r"^btime (\d+)$", text_of(Path("/proc/stat")), re.MULTILINE)
        return int(boot[1] if boot else 0) + int(process.partition(":")[2]) / os.sysconf("SC_CLK_TCK")

    def _digest(self, name: str) -> str:
        return hashlib.sha256((FRONTS / f"{name}.conf").read_bytes()).hexdigest()

    def _run(self, *words: str) -> None:
        done = subprocess.run(  # noqa: S603  (fixed words)
            ["/usr/sbin/nginx", *words], capture_output=True, text=True, check=False, timeout=RELOAD_TIMEOUT
        )
        if done.returncode != 0:
            raise SlotError(f"`nginx {' '.join(words)}` failed: {done.stderr.strip()}")


@dataclass
class Slots:
    """The two slots of one service.

    Attributes:
        actions: what was done, in order; in check mode what would be.
    """

    rpc: Any
    service: Service
    check_mode: bool = False
    actions: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._nginx = Nginx()
        self._name = self.service.name
        self._front = FRONTS / f"{self._name}.conf"
        self._before = FRONTS / f"{self._name}.before"

    def is_up_to_date(self) -> bool:
        """Whether the active slot runs this very service."""
        slot = active_slot(self._name)
        return (
            bool(slot)
            and text_of(self._settings(slot)) == self.service.settings
            and text_of(self._program(slot)) == self._filled(self.service.program, slot)
            and not self._supervised(slot).differs()
            and self._supervised(slot).state() in ("RUNNING", "STARTING", "BACKOFF")
        )

    def start(self) -> str:
        """Have a slot run this service, beside the active one; that slot.

        Raises:
            SlotError: it does not start, or says that it is something else, or does not become ready. It is
                stopped again then.
        """
        if self.is_up_to_date():
            return active_slot(self._name)
        slot = other(active_slot(self._name) or SLOTS[1])
        self.actions.append(f"start {self._name} in slot {slot}")
        if self.check_mode:
            return slot
        try:
            self._write(slot)
            self._remove_single()
            self._supervised(slot).start(self.service.stop_seconds + self.service.ready_seconds)
            self._wait_for(slot)
        except (SlotError, SupervisorError) as error:
            self._take_away(slot)
            raise SlotError(str(error)) from error
        return slot

    def switch(self, slot: str) -> None:
        """Have nginx pass to a slot that runs; back to the other one where that does not work.

        Raises:
            SlotError: nginx refuses, or somebody else answers at the front.
        """
        wanted = self._filled(self.service.front, slot)
        before = text_of(self._front)
        if before == wanted and self._nginx.is_loaded(self._name):
            if not self.check_mode:  # a run that was interrupted here has left these undone
                self._lead_to(slot)
                self._record()
            return
        self.actions.append(f"switch {self._name} to slot {slot}")
        if self.check_mode:
            return
        FRONTS.mkdir(mode=0o755, exist_ok=True)
        if active_slot(self._name) not in ("", slot):
            replace(self._before, before)
        try:
            self._load(wanted)
        except SlotError:
            if before:
                self._load(before, prove=False)
            else:
                self._front.unlink()
            if active_slot(self._name) != slot:
                self._take_away(slot)
            raise
        self._lead_to(slot)
        self._record()

    def idle(self) -> str:
        """The slot beside the active one, where it runs or is still meant to; else empty."""
        if not (active := active_slot(self._name)):
            return ""
        slot = other(active)
        running = self._supervised(slot).state() not in ("", "STOPPING", *STOPPED)
        return slot if running or self._program(slot).exists() or self._before.exists() else ""

    def begin_to_end(self, slot: str) -> None:
        """Tell a slot to finish what it has begun and to end, by itself and for good."""
        self._before.unlink(missing_ok=True)
        self._program(slot).unlink(missing_ok=True)
        self._supervised(slot).begin_to_stop()

    def has_ended(self, slot: str) -> bool:
        """Whether a slot runs no more."""
        return self._supervised(slot).state() in ("", *STOPPED)

    def forget(self) -> None:
        """Have supervisor forget the idle slot, once it has ended."""
        if active := active_slot(self._name):
            self._forget(other(active))

    def retire(self) -> None:
        """See the function `retire`."""
        retire([self])

    def go_back(self) -> None:
        """Have nginx pass to the slot that it passed to before, and retire this one.

        Nothing happens where nginx was not switched since the last `retire`.

        Raises:
            SlotError: the other slot does not run any more.
        """
        if not self._before.exists():
            return
        slot = other(active_slot(self._name) or SLOTS[0])
        if self._supervised(slot).state() != "RUNNING":
            raise SlotError(f"slot {slot} of {self._name} does not run: there is nothing to return to")
        self.actions.append(f"switch {self._name} back to slot {slot}")
        if self.check_mode:
            return
        self._load(self._before.read_text("utf-8"), prove=False)
        self._lead_to(slot)
        self.retire()

    def _settings(self, slot: str) -> Path:
        return SETTINGS / f"{self._name}-{slot}.toml"

    def _program(self, slot: str) -> Path:
        return PROGRAMS / f"orbitbot-{self._name}-{slot}.conf"

    def _supervised(self, slot: str) -> Supervised:
        return Supervised(self.rpc, f"orbitbot-{self._name}-{slot}")

    def _filled(self, text: str, slot: str) -> str:
        marks = {"SLOT": slot, "PORT": self.service.port(slot), "OTHER_PORT": self.service.port(other(slot))}
        return re.sub(r"@([A-Z_]+)@", lambda mark: str(marks[mark[1]]), text)

    def _write(self, slot: str) -> None:
        replace(self._settings(slot), self.service.settings, mode=0o640, group=self.service.group)
        replace(self._program(slot), self._filled(self.service.program, slot))

    def _remove_single(self) -> None:
        """End the one program of this service that there was before it had slots: it has the front's port."""
        path = PROGRAMS / f"orbitbot-{self._name}.conf"
        single = Supervised(self.rpc, f"orbitbot-{self._name}")
        if path.exists() or single.state():
            path.unlink(missing_ok=True)
            single.stop(self.service.stop_seconds)
            self.rpc.removeProcessGroup(f"orbitbot-{self._name}")

    def _wait_for(self, slot: str) -> None:
        """Wait until the slot says that it is this release, and that it is ready."""
        address = f"http://127.0.0.1:{self.service.port(slot)}"
        deadline = time.monotonic() + self.service.ready_seconds
        said = "it does not answer"
        while time.monotonic() < deadline:
            status, told = ask(f"{address}/healthz")
            if status == OK and told.get("version") != self.service.release:
                raise self._supervised(slot).failed(f"it says that it is release {told.get('version')}")
            if status == OK and not self.service.require_ready:
                return
            if status == OK:
                status, told = ask(f"{address}/readyz")
                if status == OK:
                    return
                said = f"it is not ready: {_failing(told)}"
            if self._supervised(slot).state() == "FATAL":
                break
            time.sleep(POLL_INTERVAL)
        raise self._supervised(slot).failed(f"{said}, {self.service.ready_seconds:g} s after its start")

    def _load(self, text: str, *, prove: bool = True) -> None:
        replace(self._front, text)
        self._nginx.reload(self._name)
        if not prove:
            return
        proofs = 0
        deadline = time.monotonic() + RELOAD_TIMEOUT
        while proofs < RELOAD_PROOFS:
            status, told = ask(f"{self.service.url}/healthz")
            proofs = proofs + 1 if status == OK and told.get("version") == self.service.release else 0
            if time.monotonic() > deadline:
                raise SlotError(
                    f"{self.service.url} does not answer as release {self.service.release}"
                    f" {RELOAD_TIMEOUT:g} s after nginx was switched: it says {told.get('version', status)}"
                )
            time.sleep(0 if proofs else POLL_INTERVAL)

    def _lead_to(self, slot: str) -> None:
        link(SETTINGS / f"{self._name}.toml", f"{self._name}-{slot}.toml")
        link(LOGS / f"{self._name}.log", f"{self._name}-{slot}.log")

    def _record(self) -> None:
        found = re.search(r"(/\S+/releases/[^/\s]+)/", self.service.program)
        if found and Path(found[1]).is_dir():
            path = Path(found[1], "services", f"{self._name}.json")
            if not path.exists() or Service.read(path) != self.service:
                self.service.write(path)

    def _take_away(self, slot: str) -> None:
        self._program(slot).unlink(missing_ok=True)
        self._supervised(slot).stop(self.service.stop_seconds)
        self._forget(slot)

    def _forget(self, slot: str) -> None:
        """Have supervisor forget a stopped slot that has no file."""
        if (
            not self.check_mode
            and self._supervised(slot).state() in STOPPED
            and not self._program(slot).exists()
        ):
            self.rpc.removeProcessGroup(f"orbitbot-{self._name}-{slot}")


def retire(services: Sequence[Slots]) -> None:
    """Tell the idle slots of a host's services to finish and to end, and wait a moment for all of them."""
    ending = [(each, slot) for each in services if (slot := each.idle())]
    for each, slot in ending:
        each.actions.append(f"retire slot {slot} of {each.service.name}")
    if any(each.check_mode for each in services):
        return
    if ending:
        Nginx().settle(NGINX_SETTLE_SECONDS)
    for each, slot in ending:
        each.begin_to_end(slot)
    _wait(lambda: all(each.has_ended(slot) for each, slot in ending), SLOT_SETTLE_SECONDS)
    for each in services:
        each.forget()


def _failing(told: dict[str, Any]) -> str:
    checks = told.get("checks", {})
    return (
        "; ".join(f"{name}: {each['detail']}" for name, each in checks.items() if not each["ok"])
        or "no reason"
    )


def _wait(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_INTERVAL)
    return True
