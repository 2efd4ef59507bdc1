#!/usr/bin/python3 -IS
"""Starts one client's bot, sealed off: what supervisor runs for it, as root.

    launch-bot run --client ID --user USER --state DIRECTORY --settings FILE --release LINK … -- COMMAND…
    launch-bot end --client ID --user USER

`run` ends what an earlier start left behind, sets limits, and executes systemd-run (where systemd runs),
setpriv and bubblewrap one after the other in its own process, so that supervisor keeps the process id and
nothing of this program stays in memory. `end` ends every process of the bot's user.

Exit status of `run`: the bot's; 71 when the bot could not be sealed off (it then does not run), 64 when the
command line is wrong.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import json
import os
import pwd
import resource
import signal
import struct
import sys
import termios
import time
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

MIB: Final = 1 << 20
SLICE: Final = "orbitbot-bots"  # systemd's slice, and the folder of the control groups where there is none
CPU_PERIOD: Final = 20_000  # microseconds; short, so that nobody takes the processor for long at a stretch
FALLBACK_NICE: Final = 5  # where nothing bounds the processor
FALLBACK_DATA: Final = 256 * MIB  # Go and threads reserve more than they use; beside the bot's own memory
WITHOUT_SWAP_ACCOUNTING: Final = {"memory.memsw.limit_in_bytes", "memory.swap.max"}  # are then not there
TEMPORARY: Final = 16 * MIB  # of /tmp and of /dev/shm
END_TIMEOUT: Final = 5.0  # seconds until killed processes must be gone

# What the bot sees of the host beside its own: Debian's programs and libraries, and what names, certificates
# and times are looked up in. No list of users (it would name the other clients), no /sys, no /run, no /var.
SEEN: Final = (
    "/etc/hosts", "/etc/ld.so.cache", "/etc/localtime", "/etc/nsswitch.conf", "/etc/resolv.conf",
    "/etc/ssl/certs", "/etc/ssl/openssl.cnf",
)  # fmt: skip
LINKS: Final = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")  # into /usr

# linux/landlock.h, linux/prctl.h
_LANDLOCK_CREATE_RULESET: Final = 444
_LANDLOCK_ADD_RULE: Final = 445
_LANDLOCK_RESTRICT_SELF: Final = 446
_LANDLOCK_VERSION: Final = 1  # flag: ask which version the kernel has
_LANDLOCK_RULE_NET_PORT: Final = 2
_LANDLOCK_BIND_TCP: Final = 1
_LANDLOCK_CONNECT_TCP: Final = 2
_LANDLOCK_SCOPE_ABSTRACT_SOCKETS: Final = 1
_LANDLOCK_KNOWS_PORTS: Final = 4
_LANDLOCK_KNOWS_SCOPES: Final = 6
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38


Values = dict[str, int | str]  # a control group's files and what is written to them


class Unsealed(Exception):
    """The bot could not be sealed off."""


class Limits(NamedTuple):
    """What one bot may use: memory in MiB, processor in percent of one core, processes and threads, files."""

    memory: int
    cpu: int
    tasks: int
    files: int


def main(arguments: list[str] | None = None) -> int:
    """The program's entry; returns only when it did not become the bot."""
    given = _parser().parse_args(arguments)
    try:
        user = _user_id(given.user)
        if given.verb == "run":
            run(given, user)
        elif count := end(given.client, user):
            print(f"ended {count} processes")  # noqa: T201  (a command's output)
    except KeyError:
        if given.verb == "run":
            return _not_started(given.client, f"there is no user {given.user}")
    except (OSError, Unsealed) as error:
        return _not_started(given.client, str(error))
    return 0


def _not_started(client: str, reason: str) -> int:
    _say(client, "critical", "bot not started", reason=reason)
    return os.EX_OSERR


def run(given: argparse.Namespace, user: int) -> NoReturn:
    """Become the bot."""
    _die_with_parent()
    end(given.client, user)
    limits = Limits(given.memory_mib, given.cpu_percent, given.tasks, given.open_files)
    scope: list[str] = []
    if Path("/run/systemd/system").is_dir():
        scope, held = _scope(given.client, limits), {"memory", "cpu", "pids"}
        how = "systemd scope"
    else:
        held = ControlGroups().enter(given.client, limits)
        how = "control group" if held else "resource limits"
    set_resource_limits(limits, held)
    ports = restrict_ports(given.port) if given.port else False
    leave_terminal()
    # Supervisor signals the whole process group. bubblewrap, which passes no signal on, must not end before
    # the bot has: for it the signal stays blocked. The bot takes it once it can handle it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and so would the bot
        signal.signal(number, signal.SIG_DFL)
    environment = {name: os.environ[name] for name in given.keep_env.split(",") if name in os.environ}
    environment |= {"PATH": "/usr/bin:/bin", "ORBITBOT_PID": str(os.getpid())}
    _say(
        given.client,
        "info",
        "bot sealed off",
        limits=how,
        held=sorted(held),
        memory_mib=limits.memory,
        cpu_percent=limits.cpu,
        tasks=limits.tasks,
        ports=sorted(given.port) if ports else "any",
        namespaces="none" if can_forbid_namespaces() else "its own",
    )
    drop = ["setpriv", f"--reuid={user}", f"--regid={_group_id(given.user)}", "--clear-groups"]
    drop += ["--inh-caps=-all", "--bounding-set=-all", "--no-new-privs", "--pdeathsig=KILL", "--"]
    command = [*scope, *drop, *view(given), "--", *given.command]
    os.execvpe(command[0], command, environment)  # noqa: S606  (no shell is wanted)


def end(client: str, user: int) -> int:
    """End every process of the bot's user, whatever made it, and forget its control groups.

    Returns:
        How many there were; those of a sandbox count as one.

    A bot's user has no other processes. A start that is killed half-way can leave a bubblewrap behind.

    Raises:
        Unsealed: some are still there; one that waits for a broken disk cannot be killed.
    """
    if user == 0:
        raise Unsealed("root is no bot's user")
    deadline = time.monotonic() + END_TIMEOUT
    killed: set[int] = set()
    while found := _kill_all(user):
        killed |= found
        if time.monotonic() > deadline:
            raise Unsealed(f"processes of user {user} are left that cannot be killed")
        time.sleep(0.02)
    ControlGroups().remove(client)
    return len(killed)


def _kill_all(user: int) -> set[int]:
    """Send SIGKILL to the user's processes; returns which there were."""
    found = set()
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                process = os.pidfd_open(int(entry.name))
            except ProcessLookupError:
                continue
            try:  # a file descriptor, so that nobody else is hit who got the number meanwhile
                if _is_own(Path(entry.path, "status").read_text(), user):
                    signal.pidfd_send_signal(process, signal.SIGKILL)
                    found.add(int(entry.name))
            except (FileNotFoundError, ProcessLookupError):
                continue
            finally:
                os.close(process)
    return found


def _is_own(status: str, user: int) -> bool:
    """Whether a process, by its /proc/…/status, lives and is the user's.

    What runs inside a sandbox dies with the first process of its namespace, all at once. A container on this
    machine may use the same number for a user of its own: there the first process is somebody else's.
    """
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    ids = fields["NSpid"].split()
    return (
        fields["Uid"].split()[0] == str(user)
        and (len(ids) == 1 or (len(ids) == 2 and ids[1] == "1"))  # noqa: PLR2004  (a namespace below ours)
        and not fields["State"].startswith(("Z", "X"))
    )


def _scope(client: str, limits: Limits) -> list[str]:
    """The command that enters a scope of systemd with the limits."""
    properties = {
        "MemoryMax": f"{limits.memory}M",
        "MemorySwapMax": "0",
        "CPUQuota": f"{limits.cpu}%",
        "CPUQuotaPeriodSec": f"{CPU_PERIOD}us",
        "TasksMax": str(limits.tasks),
    }
    command = ["systemd-run", "--scope", "--quiet", "--collect", f"--slice={SLICE}.slice"]
    command += [f"--unit=orbitbot-bot-{client}-{os.getpid()}.scope", f"--description=Bot of {client}"]
    for name, value in properties.items():
        command.append(f"--property={name}={value}")
    return [*command, "--"]


class ControlGroups:
    """The kernel's control groups without systemd: version 1, version 2, or a mixture.

    Args:
        memberships: the caller's own place, as in /proc/self/cgroup.
        mounts: where the hierarchies are, as in /proc/self/mounts.
    """

    def __init__(self, memberships: str = "", mounts: str = "") -> None:
        memberships = memberships or Path("/proc/self/cgroup").read_text()
        mounts = mounts or Path("/proc/self/mounts").read_text()
        self._version1: dict[str, Path] = {}
        self._version2: Path | None = None
        places: dict[str, str] = {}
        for line in mounts.splitlines():
            _, mountpoint, kind, options, *_ = line.split()
            if kind == "cgroup2":
                places[""] = mountpoint
            elif kind == "cgroup":
                places |= dict.fromkeys(options.split(","), mountpoint)
        for line in memberships.splitlines():
            _, controllers, path = line.split(":", 2)
            for controller in controllers.split(","):
                if controller in places:
                    # A hierarchy may be mounted from somewhere below its root: the path then leads nowhere.
                    below = Path(places[controller] + path.rstrip("/"))
                    group = below if below.is_dir() else Path(places[controller])
                    if controller:
                        self._version1[controller] = group
                    else:
                        self._version2 = group

    def enter(self, client: str, limits: Limits) -> set[str]:
        """Put this process into groups of its own; returns which of memory, cpu and pids they limit."""
        memory, quota = limits.memory * MIB, CPU_PERIOD * limits.cpu // 100
        first: dict[str, Values] = {
            "memory": {"memory.limit_in_bytes": memory, "memory.memsw.limit_in_bytes": memory},
            "cpu": {"cpu.cfs_period_us": CPU_PERIOD, "cpu.cfs_quota_us": quota},
            "pids": {"pids.max": limits.tasks},
        }
        second: dict[str, Values] = {
            "memory": {"memory.max": memory, "memory.swap.max": 0},
            "cpu": {"cpu.max": f"{quota} {CPU_PERIOD}"},
            "pids": {"pids.max": limits.tasks},
        }
        held = {
            controller
            for controller, values in first.items()
            if controller in self._version1 and _enter(self._version1[controller] / SLICE / client, values)
        }
        if self._version2 is not None:
            group = self._version2 / SLICE / client
            handed = {each for each in second.keys() - held if _delegate(each, self._version2, group)}
            values = {name: value for each in handed for name, value in second[each].items()}
            if values and _enter(group, values):
                held |= handed
        return held

    def remove(self, client: str) -> None:
        """Remove the bot's groups; those that still have a process stay."""
        for group in {*self._version1.values(), *([self._version2] if self._version2 else [])}:
            for folder in (group / SLICE / client, group / SLICE):
                try:
                    folder.rmdir()
                except OSError:  # not there, or other bots are in it
                    continue


def _delegate(controller: str, group: Path, below: Path) -> bool:
    """Hand a controller of version 2 down to the folder of a bot; False where the kernel does not let it."""
    try:
        below.mkdir(parents=True, exist_ok=True)
        for parent in (group, below.parent):
            (parent / "cgroup.subtree_control").write_text(f"+{controller}")
    except OSError:  # not there, or the group has processes of its own
        return False
    return True


def _enter(group: Path, values: Values) -> bool:
    """Set a group's values and move this process into it; False where the kernel does not let it."""
    try:
        group.mkdir(parents=True, exist_ok=True)
        for name, value in [*values.items(), ("cgroup.procs", os.getpid())]:
            if (group / name).exists() or name not in WITHOUT_SWAP_ACCOUNTING:
                with (group / name).open("r+") as file:
                    file.write(str(value))
    except OSError:
        return False
    return True


def set_resource_limits(limits: Limits, held: set[str]) -> None:
    """The limits of every process, and stand-ins for what no control group holds."""
    values = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: limits.files,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    if "memory" not in held:
        values[resource.RLIMIT_DATA] = limits.memory * MIB + FALLBACK_DATA
    if "pids" not in held:  # counts every process of that number on the machine, those of containers included
        values[resource.RLIMIT_NPROC] = limits.tasks
    if "cpu" not in held:
        os.nice(FALLBACK_NICE)
    for name, value in values.items():
        resource.setrlimit(name, (value, value))


def restrict_ports(ports: list[int]) -> bool:
    """Let this process and all that come from it connect to these TCP ports alone, and listen on none.

    Returns:
        False where the kernel has no Landlock that knows ports (Linux 6.7): a firewall must do it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_VERSION)
    if version < _LANDLOCK_KNOWS_PORTS:
        return False
    handled = struct.pack("=QQ", 0, _LANDLOCK_BIND_TCP | _LANDLOCK_CONNECT_TCP)
    if version >= _LANDLOCK_KNOWS_SCOPES:
        handled += struct.pack("=Q", _LANDLOCK_SCOPE_ABSTRACT_SOCKETS)
    ruleset = _checked(libc.syscall(_LANDLOCK_CREATE_RULESET, handled, len(handled), 0), "landlock")
    for port in ports:
        rule = struct.pack("=QQ", _LANDLOCK_CONNECT_TCP, port)
        _checked(libc.syscall(_LANDLOCK_ADD_RULE, ruleset, _LANDLOCK_RULE_NET_PORT, rule, 0), "landlock")
    _checked(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")
    _checked(libc.syscall(_LANDLOCK_RESTRICT_SELF, ruleset, 0), "landlock")
    os.close(ruleset)
    return True


def leave_terminal() -> None:
    """Give up the controlling terminal, where there is one.

    A session of its own would do that too, and take the bot out of the process group that supervisor signals.
    """
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return
    fcntl.ioctl(terminal, termios.TIOCNOTTY)
    os.close(terminal)


def view(given: argparse.Namespace) -> list[str]:
    """The command that enters bubblewrap with what the bot sees."""
    command = ["bwrap", "--die-with-parent", "--unshare-user", "--unshare-pid"]
    if can_forbid_namespaces():
        command.append("--disable-userns")
    command += ["--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--hostname", given.client]
    command += ["--ro-bind", "/usr", "/usr"]
    for link in LINKS:
        if Path("/", link).is_symlink():
            command += ["--symlink", f"usr/{link}", f"/{link}"]
    for path in (*SEEN, *given.read, given.settings):
        command += ["--ro-bind-try" if path in SEEN else "--ro-bind", path, path]
    release = os.path.realpath(given.release)
    command += ["--ro-bind", release, release]
    if release != given.release:
        command += ["--symlink", release, given.release]
    command += ["--proc", "/proc", "--dev", "/dev"]
    for folder in ("/tmp", "/dev/shm"):  # noqa: S108  (the bot's own, in its memory)
        command += ["--perms", "0700", "--size", str(TEMPORARY), "--tmpfs", folder]
    command += ["--bind", given.state, given.state, "--chdir", given.state]
    return [*command, "--remount-ro", "/dev", "--remount-ro", "/"]


def can_forbid_namespaces() -> bool:
    """Whether bubblewrap can keep the bot from making namespaces of its own: not inside a container."""
    return not os.statvfs("/proc/sys").f_flag & os.ST_RDONLY


def _die_with_parent() -> None:
    """A killed supervisord takes this process along; setpriv clears that and sets it again."""
    libc = ctypes.CDLL(None, use_errno=True)
    _checked(libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "parent-death signal")


def _checked(result: int, what: str) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


def _user_id(name: str) -> int:
    return int(name) if name.isdigit() else pwd.getpwnam(name).pw_uid


def _group_id(name: str) -> int:
    return int(name) if name.isdigit() else pwd.getpwnam(name).pw_gid


def _say(client: str, level: str, message: str, **facts: object) -> None:
    """One line in the form of the bot's own log."""
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
    line = {"time": seconds, "level": level, "service": f"bot-{client}", "logger": "launch-bot"}
    print(json.dumps(line | {"message": message, "action": "seal"} | facts), file=sys.stderr, flush=True)  # noqa: T201


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="launch-bot", description="Starts one client's bot, sealed off.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name in ("run", "end"):
        verb = verbs.add_parser(name)
        verb.add_argument("--client", required=True)
        verb.add_argument("--user", required=True, help="the bot's own user, by name or number")
    run_verb = verbs.choices["run"]
    run_verb.add_argument("--state", required=True, help="the bot's own directory")
    run_verb.add_argument("--settings", required=True)
    run_verb.add_argument(
        "--release", required=True, help="where the release is; a symbolic link is followed"
    )
    run_verb.add_argument("--memory-mib", type=int, required=True)
    run_verb.add_argument("--cpu-percent", type=int, required=True, help="of one core")
    run_verb.add_argument("--tasks", type=int, required=True, help="processes and threads")
    run_verb.add_argument("--open-files", type=int, required=True)
    run_verb.add_argument(
        "--port", type=int, action="append", default=[], help="a TCP port it may reach; none: all"
    )
    run_verb.add_argument("--read", action="append", default=[], metavar="PATH", help="that it may read, too")
    run_verb.add_argument("--keep-env", default="", metavar="NAME,…", help="variables that are handed on")
    run_verb.add_argument("command", nargs="+")
    return parser


if __name__ == "__main__":
    sys.exit(main())
