#!/usr/bin/python3
"""Module `bot_programs`: the releases that a host's bots run from, and which of them need another one."""

from __future__ import annotations

DOCUMENTATION = r"""
module: bot_programs
short_description: The releases that a host's bots run from
description:
  - A bot runs from the release that its program file names, until another release has other code for it. Two
    releases have the same bot when their manifests have the same C(bot_code).
  - Without C(names) it looks and changes nothing.
  - With C(names) it has these bots run C(release), restarts those that did not, all at once, and waits until
    supervisor says that they run. A bot that was stopped on purpose stays stopped.
options:
  root:
    description: Directory of C(releases/) and C(current).
    type: path
    default: /opt/orbitbot
  directory:
    description: Where supervisor reads program files.
    type: path
    default: /etc/supervisor/conf.d
  release:
    description: The wanted release; the current one otherwise.
    type: str
  names:
    description: Clients whose bots are to run it.
    type: list
    elements: str
  socket:
    description: Supervisor's unix socket.
    type: path
    default: /run/supervisor.sock
  timeout:
    description: Seconds until supervisor must say RUNNING.
    type: float
    default: 60
author: OrbitBot contributors
"""

EXAMPLES = r"""
- name: See which bots need the current release
  bot_programs:
  register: bots
"""

RETURN = r"""
release:
  description: The wanted release.
  type: str
  returned: always
bots:
  description: Client → the release that its program names.
  type: dict
  returned: always
outdated:
  description: Clients whose bots have other code than the wanted release, or do not run as their files say.
  type: list
  elements: str
  returned: always
keep:
  description: Client → the release that it is to run; its own, where that has the same bot as the wanted one.
  type: dict
  returned: always
"""

import re  # noqa: E402  (a module's documentation comes first)
import xmlrpc.client  # noqa: E402
from collections.abc import Iterable  # noqa: E402
from concurrent.futures import ThreadPoolExecutor  # noqa: E402
from pathlib import Path  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402
from ansible.module_utils.releases import Releases  # noqa: E402
from ansible.module_utils.slots import replace  # noqa: E402
from ansible.module_utils.supervisor_rpc import Supervised, SupervisorError, connect, reread  # noqa: E402

_CLIENT = re.compile(r"orbitbot-bot-(.+)\.conf$")
_ENVIRONMENT = re.compile(r'ORBITBOT_RELEASE="([^"]*)"')


def program_files(directory: Path) -> dict[str, Path]:
    """Client → its program file."""
    found = {path: _CLIENT.match(path.name) for path in sorted(directory.glob("orbitbot-bot-*.conf"))}
    return {match[1]: path for path, match in found.items() if match}


def release_of(text: str) -> str:
    """The release that a program file names; empty for one that still runs whatever is current."""
    named = _ENVIRONMENT.search(text)
    return named[1] if named and f"/releases/{named[1]}/" in text else ""


def with_release(text: str, root: Path, release: str) -> str:
    """A program file's text, for another release."""
    pinned = re.sub(
        rf"{re.escape(str(root))}/(?:current|releases/[^/\s]+)(?=[/\s])", f"{root}/releases/{release}", text
    )
    return _ENVIRONMENT.sub(f'ORBITBOT_RELEASE="{release}"', pinned)


def same_bot(known: dict[str, dict[str, object]], one: str, another: str) -> bool:
    """Whether two releases have the same bot."""
    codes = {known.get(name, {}).get("bot_code") for name in (one, another)}
    return one == another or (len(codes) == 1 and None not in codes)


def restart(socket: str, client: str, timeout: float) -> None:
    """Have supervisor run a bot as its file says."""
    if not is_stopped(socket, client):
        Supervised(connect(socket), f"bot-{client}").start(timeout)


def is_stopped(socket: str, client: str) -> bool:
    """Whether somebody has stopped it."""
    state: str = Supervised(connect(socket), f"bot-{client}").state()
    return state == "STOPPED"


def need_restart(socket: str, clients: Iterable[str]) -> set[str]:
    """Those that run otherwise than their files say, and were not stopped on purpose."""
    rpc = connect(socket)
    differing = {name for names in reread(rpc) for name in names}
    stopped = {info["group"] for info in rpc.getAllProcessInfo() if info["statename"] == "STOPPED"}
    return {client for client in clients if f"bot-{client}" in differing - stopped}


def main() -> None:
    """The module's entry."""
    module = AnsibleModule(
        {
            "root": {"type": "path", "default": "/opt/orbitbot"},
            "directory": {"type": "path", "default": "/etc/supervisor/conf.d"},
            "release": {"type": "str"},
            "names": {"type": "list", "elements": "str"},
            "socket": {"type": "path", "default": "/run/supervisor.sock"},
            "timeout": {"type": "float", "default": 60.0},
        },
        supports_check_mode=True,
    )
    root, socket = Path(module.params["root"]), module.params["socket"]
    releases = Releases(root)
    wanted = module.params["release"] or releases.current
    files = program_files(Path(module.params["directory"]))
    known = releases.complete()
    texts = {client: path.read_text("utf-8") for client, path in files.items()}
    bots = {client: release_of(text) for client, text in texts.items()}
    keep = {client: runs if same_bot(known, runs, wanted) else wanted for client, runs in bots.items()}
    changed = False
    try:
        differing = need_restart(socket, files)
        outdated = [client for client in files if keep[client] != bots[client] or client in differing]
        todo = [client for client in module.params["names"] or [] if client in files]
        for client in todo:
            text = with_release(texts[client], root, wanted)
            if text != texts[client]:
                changed = True
                if not module.check_mode:
                    replace(files[client], text)
            changed = changed or client in differing
        if todo and not module.check_mode:
            with ThreadPoolExecutor(len(todo)) as pool:
                list(pool.map(lambda client: restart(socket, client, module.params["timeout"]), todo))
    except OSError as error:
        module.fail_json(msg=f"supervisor does not answer on {socket}: {error}")
    except (SupervisorError, xmlrpc.client.Fault) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=changed, release=wanted, bots=bots, outdated=outdated, keep=keep)


if __name__ == "__main__":
    main()
