#!/usr/bin/python3
"""Module `bots`: many clients' bots on a host in one step, as the role `client` makes one."""

from __future__ import annotations

DOCUMENTATION = r"""
module: bots
short_description: Many clients' bots on a host in one step
description:
  - Makes for each bot what the tasks of the role C(client) make for one - system user, state directory,
    credential, settings file, program file - and has supervisor run it. Only what differs is touched.
  - Every program file is read by supervisor's own parser before any is put in place.
options:
  bots:
    description: The bots; see the action C(many_bots), which writes their files.
    type: list
    elements: dict
    required: true
  secrets:
    description: Client id to the secret of the new credential whose id is the C(credential_id) of the bot.
    type: dict
    default: {}
  state:
    description:
      - C(known) tells which credential each has, and changes nothing.
      - C(started) makes them and runs them.
    type: str
    choices: [known, started]
    default: started
  socket:
    description: Supervisor's unix socket.
    type: path
    default: /run/supervisor.sock
author: OrbitBot contributors
"""

EXAMPLES = r"""
- name: Which credentials are there
  bots:
    state: known
    bots: [{client_id: padaria, credential_file: /var/lib/orbitbot/bots/padaria/credential.json}]
"""

RETURN = r"""
credentials:
  description: With C(known), client id to the id of its credential, empty where there is none.
  type: dict
  returned: with known
made:
  description: Clients of which anything was changed.
  type: list
  elements: str
  returned: with started
"""

import json  # noqa: E402  (a module's documentation comes first)
import os  # noqa: E402
import pwd  # noqa: E402
import subprocess  # noqa: E402
import tempfile  # noqa: E402
import xmlrpc.client  # noqa: E402
from collections.abc import Mapping, Sequence  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402
from ansible.module_utils.supervisor_rpc import NO_WAIT, STOPPED, SupervisorError, connect, reread  # noqa: E402

CHECK = """
import sys
from supervisor.options import ServerOptions, UnhosedConfigParser
for path in sys.argv[1:]:
    options = ServerOptions()
    parser = UnhosedConfigParser()
    parser.expansions = options.environ_expansions
    parser.read(path) or sys.exit(path + ": unreadable")
    options.process_groups_from_parser(parser) or sys.exit(path + ": no program in it")
"""


class BotsError(Exception):
    """The bots could not be made."""


def credential_id(path: Path) -> str:
    """The id of a stored credential; empty where there is none that can be read."""
    try:
        return str(json.loads(path.read_text("utf-8"))["credentialId"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def write(path: Path, text: str, mode: int, user: int, group: int) -> bool:
    """Put a file in place, whole; returns whether it was not so before."""
    try:
        known = path.lstat()
        if (
            (known.st_uid, known.st_gid, known.st_mode & 0o7777) == (user, group, mode)
            and path.read_text("utf-8") == text
        ):  # fmt: skip
            return False
    except OSError:
        pass
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.chown(temporary, user, group)
    Path(temporary).chmod(mode)
    Path(temporary).replace(path)
    return True


def give_user(bot: Mapping[str, Any]) -> tuple[pwd.struct_passwd, bool]:
    """The bot's system user; whether it was made now."""
    try:
        return pwd.getpwnam(bot["user"]), False
    except KeyError:
        command = ["useradd", "--system", "--user-group", "--home-dir", bot["state_directory"]]
        command += ["--no-create-home", "--shell", "/usr/sbin/nologin"]
        command += ["--comment", f"OrbitBot client {bot['client_id']}", bot["user"]]
        _run(command)
        return pwd.getpwnam(bot["user"]), True


def give_directory(bot: Mapping[str, Any], user: pwd.struct_passwd) -> bool:
    """The bot's state directory; an earlier bot's is handed over."""
    path = Path(bot["state_directory"])
    if not path.exists():
        path.mkdir(mode=0o700)
        os.chown(path, user.pw_uid, user.pw_gid)
        return True
    if path.lstat().st_uid != user.pw_uid:
        _run(["chown", "--recursive", f"{user.pw_name}:{user.pw_gid}", str(path)])
        return True
    return False


def place(bot: Mapping[str, Any], secret: str) -> bool:
    """Everything of one bot but its program; returns whether anything was changed."""
    user, new = give_user(bot)
    changed = [new, give_directory(bot, user)]
    if secret:
        credential = json.dumps({"credentialId": bot["credential_id"], "secret": secret}) + "\n"
        changed.append(write(Path(bot["credential_file"]), credential, 0o400, user.pw_uid, user.pw_gid))
    changed.append(write(Path(bot["settings_file"]), bot["settings_text"], 0o640, 0, user.pw_gid))
    return any(changed)


def check_programs(bots: Sequence[Mapping[str, Any]]) -> None:
    """Have supervisor's own parser read every program file.

    Raises:
        BotsError: it could not.
    """
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for bot in bots:
            paths.append(Path(folder, Path(bot["program_file"]).name))
            paths[-1].write_text(bot["program_text"], "utf-8")
        _run(["/usr/bin/python3", "-c", CHECK, *map(str, paths)])


def run_programs(rpc: Any, names: Sequence[str]) -> set[str]:
    """Have supervisor run these programs as their files say; returns which it did not."""
    added, changed, _ = reread(rpc)
    known = {info["group"]: info["statename"] for info in rpc.getAllProcessInfo()}
    touched = set()
    for name in names:
        if name in changed:
            rpc.stopProcessGroup(name)
            rpc.removeProcessGroup(name)
        if name in added or name in changed:
            rpc.addProcessGroup(name)
            touched.add(name)
        elif known.get(name) in STOPPED:
            rpc.startProcess(f"{name}:{name}", NO_WAIT)  # whoever called looks at the API
            touched.add(name)
        elif name not in known:
            raise BotsError(f"no file in supervisor's conf.d defines [program:{name}]")
    return touched


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  (no shell)
    if done.returncode:
        raise BotsError(f"{command[0]}: {(done.stderr or done.stdout).strip()}")


def start(bots: Sequence[Mapping[str, Any]], secrets: Mapping[str, str], path: str) -> list[str]:
    """Make and run the bots; returns of which anything was changed.

    Raises:
        BotsError: says which could not be made.
    """
    check_programs(bots)
    made = set()
    for bot in bots:
        try:
            changed = place(bot, secrets.get(bot["client_id"], ""))
            changed |= write(Path(bot["program_file"]), bot["program_text"], 0o644, 0, 0)
        except (OSError, BotsError) as error:
            raise BotsError(f"{bot['client_id']}: {error}") from error
        if changed:
            made.add(bot["client_id"])
    rpc = connect(path)
    clients = {bot["program"]: bot["client_id"] for bot in bots}
    return sorted(made | {clients[name] for name in run_programs(rpc, list(clients))})


def main() -> None:
    """The module's entry."""
    module = AnsibleModule(
        {
            "bots": {"type": "list", "elements": "dict", "required": True},
            "secrets": {"type": "dict", "default": {}, "no_log": True},
            "state": {"type": "str", "choices": ["known", "started"], "default": "started"},
            "socket": {"type": "path", "default": "/run/supervisor.sock"},
        },
        supports_check_mode=True,
    )
    bots = module.params["bots"]
    if module.params["state"] == "known":
        held = {bot["client_id"]: credential_id(Path(bot["credential_file"])) for bot in bots}
        module.exit_json(changed=False, credentials=held)
    if module.check_mode:
        missing = [bot["client_id"] for bot in bots if not Path(bot["program_file"]).exists()]
        module.exit_json(changed=bool(missing), made=missing)
    try:
        made = start(bots, module.params["secrets"], module.params["socket"])
    except (OSError, BotsError, SupervisorError, xmlrpc.client.Error) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(made), made=made)


if __name__ == "__main__":
    main()
