"""The command line: `python -m tests.hosts --help`."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import msgspec

from tests.hosts import doctor
from tests.hosts.command import HostsError
from tests.hosts.fleet import Fleet
from tests.hosts.images import Images
from tests.hosts.launch import launch, layers, remove
from tests.hosts.plan import SUPERNET, FleetRequest, HostRequest
from tests.hosts.store import Store

Command = Callable[[Store, argparse.Namespace], int]


class _Platform(msgspec.Struct):
    """A platform of molecule.yml, as far as it matters here."""

    name: str
    groups: tuple[str, ...] = ()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the process's exit status."""
    given = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupted)
    command: Command = given.run
    try:
        return command(Store(given.store), given)
    except HostsError as error:
        print(f"test hosts: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("test hosts: interrupted", file=sys.stderr)
        return 130


def _interrupted(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _up(store: Store, given: argparse.Namespace) -> int:
    hosts = tuple(_host(text) for text in given.hosts)
    if given.platforms:
        platforms = msgspec.json.decode(sys.stdin.buffer.read(), type=list[_Platform])
        hosts += tuple(HostRequest(platform.name, platform.groups) for platform in platforms)
    request = FleetRequest(
        name=given.fleet,
        hosts=hosts,
        packages=_packages(given.packages),
        release=given.release,
        supernet=given.supernet,
        prefix=given.prefix,
        subnet=given.subnet,
    )
    fleet = launch(request, store)
    for host in fleet.plan.hosts:
        print(f"{host.name}\t{host.address}\trunning")
    print(f"ssh -F {fleet.files.settings} {fleet.plan.hosts[0].name}")
    print(f"ansible-playbook -i {fleet.files.inventory} …")
    return 0


def _down(store: Store, given: argparse.Namespace) -> int:
    if not given.all and not given.fleets:
        raise HostsError("name the fleets to remove, or give --all")
    names = [plan.name for plan in store.plans()] if given.all else given.fleets
    for name in names:
        print(f"{name}\t{'removed' if remove(store, name) else 'was not there'}")
    return 0


def _list(store: Store, given: argparse.Namespace) -> int:
    for plan in store.plans():
        fleet = Fleet(store, plan)
        for host in plan.hosts:
            print(f"{plan.name}\t{host.name}\t{host.address}\t{fleet.status(host.name)}")
    return 0


def _start(store: Store, given: argparse.Namespace) -> int:
    print(f"{given.host}\t{Fleet.load(store, given.fleet).start(given.host)}")
    return 0


def _stop(store: Store, given: argparse.Namespace) -> int:
    Fleet.load(store, given.fleet).stop(given.host)
    return 0


def _kill(store: Store, given: argparse.Namespace) -> int:
    Fleet.load(store, given.fleet).kill(given.host)
    return 0


def _partition(store: Store, given: argparse.Namespace) -> int:
    Fleet.load(store, given.fleet).partition(given.host, keep_controller=given.keep_controller)
    return 0


def _cut(store: Store, given: argparse.Namespace) -> int:
    fleet = Fleet.load(store, given.fleet)
    fleet.cut(given.sender, given.receiver)
    if not given.one_way:
        fleet.cut(given.receiver, given.sender)
    return 0


def _heal(store: Store, given: argparse.Namespace) -> int:
    Fleet.load(store, given.fleet).heal()
    return 0


def _ssh(store: Store, given: argparse.Namespace) -> int:
    command = Fleet.load(store, given.fleet).ssh_command(given.host, *given.command)
    os.execvp(command[0], command)


def _exec(store: Store, given: argparse.Namespace) -> int:
    fleet = Fleet.load(store, given.fleet)
    init = fleet.machine(fleet.plan.host(given.host)).init()
    command = given.command or ["/bin/bash", "--login"]
    os.execvp("nsenter", ["nsenter", "--target", str(init.pid), "--all", "--", *command])


def _files(store: Store, given: argparse.Namespace) -> int:
    files = Fleet.load(store, given.fleet).files
    print(msgspec.json.encode({name: str(path) for name, path in vars(files).items()}).decode())
    return 0


def _build(store: Store, given: argparse.Namespace) -> int:
    wanted = FleetRequest(
        name="image",
        hosts=(HostRequest("image"),),
        packages=_packages(given.packages),
        release=given.release,
        supernet=given.supernet,
    )
    for layer in layers(store, wanted):
        print(layer)
    return 0


def _prune(store: Store, given: argparse.Namespace) -> int:
    for name in Images(store).remove_unused():
        print(f"{name}\tremoved")
    return 0


def _doctor(store: Store, given: argparse.Namespace) -> int:
    findings = list(doctor.examine(store))
    for finding in findings:
        print(f"MISSING  {finding.what}: {finding.remedy}" if finding.remedy else f"ok       {finding.what}")
    return 1 if any(finding.remedy for finding in findings) else 0


def _setup(store: Store, given: argparse.Namespace) -> int:
    installed = doctor.setup()
    print(f"installed: {' '.join(installed) or 'nothing, all there'}")
    return _doctor(store, given)


def _host(text: str) -> HostRequest:
    name, _, groups = text.partition("=")
    return HostRequest(name, tuple(group for group in groups.split(",") if group))


def _packages(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.hosts", description="Real Debian hosts on this machine."
    )
    parser.add_argument(
        "--store", type=Path, help="folder of images and fleets (default: in the user's cache)"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Command, text: str, *positional: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        for argument in positional:
            command.add_argument(argument)
        return command

    add("doctor", _doctor, "say what this machine lacks")
    add("setup", _setup, "install what this machine lacks")
    _add_image_options(add("build", _build, "build the images that a fleet will stand on"))
    add("prune", _prune, "remove images that no fleet stands on")

    up = add("up", _up, "create a fleet and wait until its hosts run", "fleet")
    up.add_argument("hosts", nargs="*", metavar="HOST[=GROUP,…]")
    up.add_argument(
        "--platforms",
        action="store_true",
        help="read hosts from standard input: Molecule's platforms, as JSON",
    )
    up.add_argument("--prefix", help="starts the names of bridge and containers (default: a free one)")
    up.add_argument("--subnet", help="a /24 (default: a free one of the supernet)")
    _add_image_options(up)

    down = add("down", _down, "remove fleets and everything that belongs to them")
    down.add_argument("fleets", nargs="*", metavar="fleet")
    down.add_argument("--all", action="store_true", help="every fleet of the store")
    add("list", _list, "every host of every fleet with its state")
    add("files", _files, "where a fleet's SSH settings, key and inventory lie, as JSON", "fleet")

    add("start", _start, "boot a host that was stopped or killed", "fleet", "host")
    add("stop", _stop, "shut a host down in good order", "fleet", "host")
    add("kill", _kill, "cut a host's power; its disk stays", "fleet", "host")
    partition = add(
        "partition", _partition, "cut a host off from all others and this machine", "fleet", "host"
    )
    partition.add_argument("--keep-controller", action="store_true", help="this machine still reaches it")
    cut = add("cut", _cut, "drop what two hosts send each other", "fleet", "sender", "receiver")
    cut.add_argument("--one-way", action="store_true", help="only what the first sends to the second")
    add("heal", _heal, "end every partition and cut of a fleet", "fleet")

    add("ssh", _ssh, "log in, or run a command, over SSH", "fleet", "host").add_argument(
        "command", nargs=argparse.REMAINDER
    )
    add("exec", _exec, "run a command without the host's network", "fleet", "host").add_argument(
        "command", nargs=argparse.REMAINDER
    )
    return parser


def _add_image_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--packages", default="", help="Debian packages that the hosts already have")
    command.add_argument("--release", help="Debian release (default: this machine's)")
    command.add_argument(
        "--supernet", default=SUPERNET, help=f"where subnets are taken from (default: {SUPERNET})"
    )


if __name__ == "__main__":
    sys.exit(main())
