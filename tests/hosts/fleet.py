"""A fleet from its creation to its removal, and the faults in between."""

import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from tests.hosts import cgroups, network
from tests.hosts.command import HostsError, run
from tests.hosts.limits import raise_limits
from tests.hosts.machine import Machine
from tests.hosts.packages import PackageCache
from tests.hosts.plan import FleetPlan, FleetRequest, HostPlan, cache_address, plan_fleet
from tests.hosts.ssh import SOCKETS, SshFiles, generate_key
from tests.hosts.store import Store

T = TypeVar("T")

_BOOT_TIMEOUT = 60.0  # seconds
_RETRY = 0.1  # seconds between two attempts to reach a booting host
_SSH_OPTIONS = ("-o", "ConnectTimeout=2", "-o", "ControlPath=none")
_ALL_FLEETS = "fleets"


class Fleet:
    """A fleet that exists on this machine.

    Args:
        plan: as saved in `store`.
    """

    def __init__(self, store: Store, plan: FleetPlan) -> None:
        self._store = store
        self.plan = plan
        self.folder = store.fleet(plan.name)
        self.files = SshFiles(self.folder)

    @classmethod
    def create(cls, store: Store, request: FleetRequest, layers: Sequence[Path]) -> "Fleet":
        """Make the fleet and wait until every host's systemd is `running`; on any failure nothing remains.

        Args:
            layers: the read-only folders of every host, topmost first.

        Raises:
            HostsError: the request cannot be met, the name is taken, or a host did not come up.
        """
        cache = PackageCache(store)
        with store.lock(_lock(request.name)), cache.used(cache_address(request.supernet)) as proxy:
            with store.lock(_ALL_FLEETS):
                plan = _plan(store, request, tuple(layers), proxy)
                store.save(plan)
            fleet = cls(store, plan)
            try:
                fleet._build()
            except BaseException:  # an interrupt must not leave hosts behind either
                fleet._remove()
                raise
        return fleet

    @classmethod
    def load(cls, store: Store, name: str) -> "Fleet":
        """The fleet called `name`.

        Raises:
            HostsError: there is none.
        """
        return cls(store, store.load(name))

    def remove(self) -> None:
        """Remove the fleet with everything that belongs to it, in whatever state it is. Harmless twice."""
        with self._store.lock(_lock(self.plan.name)):
            self._remove()
        PackageCache(self._store).stop_if_unused()

    def machine(self, host: HostPlan) -> Machine:
        """The host's container."""
        return Machine(self.plan, host, self._store.host(self.plan.name, host.name))

    def start(self, name: str) -> str:
        """Boot a host that was stopped or killed, from its disk, and return systemd's state.

        Raises:
            HostsError: it runs already, or was not up within 60 s.
        """
        host = self.plan.host(name)
        cache = PackageCache(self._store)
        with self._store.lock(_lock(self.plan.name)), cache.used(self._cache_address()):
            self.machine(host).start()
        return self.wait(name)

    def stop(self, name: str) -> None:
        """Shut a host down in good order."""
        host = self.plan.host(name)
        self._close_connections(host)
        self.machine(host).stop()

    def kill(self, name: str) -> None:
        """Cut a host's power. Its disk stays; `start` boots it again."""
        host = self.plan.host(name)
        self.machine(host).kill()
        self._close_connections(host)

    def partition(self, name: str, *, keep_controller: bool = False) -> None:
        """Cut a host off from all others, and from this machine unless `keep_controller`."""
        network.isolate(self.plan, self.plan.host(name), keep_controller=keep_controller)

    def cut(self, sender: str, receiver: str) -> None:
        """Drop everything that `sender` sends to `receiver`; the other direction stays."""
        network.cut(self.plan, self.plan.host(sender), self.plan.host(receiver))

    def heal(self) -> None:
        """End every partition and cut."""
        network.heal(self.plan)

    def ssh(self, name: str, command: str, *, timeout: float = 60.0) -> str:
        """Run a shell command on a host over SSH and return its output.

        Raises:
            HostsError: the command failed, or the host cannot be reached.
        """
        host = self.plan.host(name)
        return run(self.ssh_command(host.name, command), timeout=timeout)

    def ssh_command(self, name: str, *command: str) -> list[str]:
        """The command line that `ssh` runs."""
        return ["ssh", "-F", str(self.files.settings), *_SSH_OPTIONS, self.plan.host(name).name, *command]

    def execute(self, name: str, command: list[str], *, timeout: float = 60.0) -> str:
        """Run a command on a host without its network (it may be partitioned) and return its output."""
        return self.machine(self.plan.host(name)).execute(command, timeout)

    def wait(self, name: str, timeout: float = _BOOT_TIMEOUT) -> str:
        """Wait until a host has booted and answers over SSH; returns "running" or "degraded".

        Raises:
            HostsError: it ended, or did not get there in time; with the end of its console.
        """
        host = self.plan.host(name)
        machine = self.machine(host)
        deadline = time.monotonic() + timeout
        while True:
            state = self._state(host, deadline)
            if state in ("running", "degraded"):
                return state
            if not machine.running or time.monotonic() > deadline:
                raise HostsError(f"{name} is {state or 'not reachable'}; its console:\n{machine.console}")
            time.sleep(_RETRY)

    def status(self, name: str) -> str:
        """What systemd on the host says of itself; "off" for a host that does not run."""
        host = self.plan.host(name)
        if not self.machine(host).running:
            return "off"
        return self._state(host, time.monotonic() + 2.0) or "unreachable"

    def _build(self) -> None:
        raise_limits()
        SOCKETS.mkdir(exist_ok=True, mode=0o700)
        network.create(self.plan)
        public_key = generate_key(self.files.key, f"test-hosts-{self.plan.name}")
        hosts = self.plan.hosts
        host_keys = _together(lambda host: self.machine(host).create(public_key), hosts)
        self.files.write(self.plan, {host.name: key for host, key in zip(hosts, host_keys, strict=True)})
        for host in hosts:
            self.machine(host).start()
        states = _together(lambda host: self.wait(host.name), hosts)
        for host, state in zip(hosts, states, strict=True):
            if state != "running":
                failed = self.execute(host.name, ["systemctl", "--failed", "--no-legend", "--plain"])
                raise HostsError(f"{host.name} is {state} after its first boot; failed units:\n{failed}")

    def _remove(self) -> None:
        for host in self.plan.hosts:
            self._close_connections(host)
        _together(lambda host: self.machine(host).erase(), self.plan.hosts)
        network.remove(self.plan)
        self._store.forget(self.plan.name)
        if not self._store.plans() and SOCKETS.is_dir() and not any(SOCKETS.iterdir()):
            SOCKETS.rmdir()

    def _state(self, host: HostPlan, deadline: float) -> str:
        command = self.ssh_command(host.name, "systemctl is-system-running --wait")
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=max(1.0, deadline - time.monotonic()),
                check=False,
            )
        except subprocess.TimeoutExpired:
            return ""
        return done.stdout.strip()

    def _cache_address(self) -> str:
        return self.plan.proxy.removeprefix("http://").rpartition(":")[0]

    def _close_connections(self, host: HostPlan) -> None:
        socket = SOCKETS / host.address
        if socket.exists():
            run(["ssh", "-o", f"ControlPath={socket}", "-O", "exit", host.address], check=False)
            socket.unlink(missing_ok=True)


def _lock(name: str) -> str:
    return f"fleet-{name}"


def _plan(store: Store, request: FleetRequest, layers: tuple[Path, ...], proxy: str) -> FleetPlan:
    plans = store.plans()
    if request.name in {plan.name for plan in plans}:
        raise HostsError(f"fleet {request.name} is there already; `down {request.name}` removes it")
    return plan_fleet(
        request,
        used_prefixes={plan.prefix for plan in plans} | network.used_names(),
        used_networks=[*network.used_networks(), *(plan.network for plan in plans)],
        cgroups=cgroups.fleet_groups(),
        layers=layers,
        proxy=proxy,
    )


def _together(work: Callable[[HostPlan], T], hosts: Sequence[HostPlan]) -> list[T]:
    with ThreadPoolExecutor(max_workers=8) as pool:
        return list(pool.map(work, hosts))
