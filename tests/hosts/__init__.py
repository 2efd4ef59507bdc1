"""Real Debian hosts on this machine, for Molecule's scenarios and the fleet tests.

A host is a systemd-nspawn container on overlayfs with a systemd, an SSH daemon, an address, a network
namespace and control groups of its own. A *fleet* is some hosts on a private bridge; several fleets run
side by side, each with its own name, subnet, bridge and keys. Nothing here ever reaches a production host.

    .venv/bin/python -m tests.hosts setup                    # once: Debian packages (as root)
    .venv/bin/python -m tests.hosts up demo gateway-1=gateway bots-1=bots bots-2=bots
    .venv/bin/python -m tests.hosts ssh demo bots-1 uptime
    .venv/bin/python -m tests.hosts down demo

From Python: `fleet = launch(FleetRequest(...))`, `fleet.ssh(...)`, `fleet.kill(...)`, `fleet.remove()`.
Everything lives below the user's cache folder, `orbitbot/test-hosts`; nothing is written to the repository.

What differs from a real host: `sysctl` of `vm.*`, `fs.*` and `kernel.*` is refused (`net.*` works); the
limit on open files cannot rise above the caller's; there are no block devices and no FUSE; root is the
machine's own root; a power cut is SIGKILL to the host's init, which loses every process at once but not the
page cache.
"""
