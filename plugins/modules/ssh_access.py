#!/usr/bin/python3
"""Module `ssh_access`: users can log in with keys, by what sshd will accept. It looks and changes nothing."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ssh_access
short_description: Users have a key with which they can log in
description:
  - Fails for a user without an authorized key of an accepted type. Where sshd asks a command for the keys,
    that command is trusted to have one.
options:
  users:
    description: The users.
    type: list
    elements: str
    required: true
  types:
    description: Accepted types of keys, as C(authorized_keys) names them.
    type: list
    elements: str
    required: true
  rsa_bits:
    description: Least length of an RSA key.
    type: int
    required: true
author: OrbitBot contributors
"""

EXAMPLES = r"""
- name: Refuse to shut the operator out
  ssh_access:
    users: [root]
    types: [ssh-ed25519, ssh-rsa]
    rsa_bits: 3072
"""

import base64  # noqa: E402  (a module's documentation comes first)
import binascii  # noqa: E402
import pwd  # noqa: E402
import struct  # noqa: E402
from collections.abc import Sequence  # noqa: E402
from pathlib import Path  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402


def problem(line: str, types: Sequence[str], rsa_bits: int) -> str:
    """Why a line of `authorized_keys` lets nobody in: "no key", or the key it has; empty when it does."""
    words = line.split()
    kinds = ("ssh-", "ecdsa-", "sk-")
    place = next((index for index, word in enumerate(words) if word.startswith(kinds)), None)
    if line.lstrip().startswith("#") or place is None or len(words) < place + 2:
        return "no key"
    kind = words[place]
    if kind not in types:
        return f"a key of type {kind}"
    if kind == "ssh-rsa" and (bits := modulus_bits(words[place + 1])) < rsa_bits:
        return f"an RSA key of {bits} bits"
    return ""


def modulus_bits(blob: str) -> int:
    """Length of the modulus of an RSA key in base64, in bits; 0 if it is no such key (RFC 4253, 6.6)."""
    try:
        data = base64.b64decode(blob, validate=True)
        fields = []
        while data:
            (length,) = struct.unpack(">I", data[:4])
            fields.append(data[4 : 4 + length])
            data = data[4 + length :]
        return int.from_bytes(fields[2], "big").bit_length()
    except (binascii.Error, struct.error, IndexError):
        return 0


class Access:
    """What sshd of this host says and finds."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module

    def complaint(self, user: str) -> str:
        """Why `user` could not log in with a key; empty if that works."""
        try:
            account = pwd.getpwnam(user)
        except KeyError:
            return f"there is no user {user}"
        connection = f"user={user},host=localhost,addr=127.0.0.1"
        _, out, _ = self._module.run_command(["/usr/sbin/sshd", "-T", "-C", connection], check_rc=True)
        settings = dict(line.partition(" ")[::2] for line in out.splitlines())
        if settings.get("authorizedkeyscommand", "none") != "none":
            return ""
        names = settings.get("authorizedkeysfile", ".ssh/authorized_keys").split()
        home = Path(account.pw_dir)
        files = [home / name.replace("%h", account.pw_dir).replace("%u", user) for name in names]
        lines = [line for file in files if file.exists() for line in file.read_text("utf-8").splitlines()]
        types, bits = self._module.params["types"], self._module.params["rsa_bits"]
        problems = [problem(line, types, bits) for line in lines]
        if "" in problems:
            return ""
        unusable = sorted(set(problems) - {"no key"})
        found = f"only {', '.join(unusable)}" if unusable else "no key"
        return f"{user} has {found} in {', '.join(map(str, files))}"


def main() -> None:
    """The module's entry."""
    module = AnsibleModule(
        {
            "users": {"type": "list", "elements": "str", "required": True},
            "types": {"type": "list", "elements": "str", "required": True},
            "rsa_bits": {"type": "int", "required": True},
        },
        supports_check_mode=True,
    )
    access = Access(module)
    complaints = [each for each in map(access.complaint, module.params["users"]) if each]
    if complaints:
        module.fail_json(
            msg=f"{'; '.join(complaints)}: with keys only, nobody could log in so. Authorize a key of "
            f"type {' or '.join(module.params['types'])} first (RSA: {module.params['rsa_bits']} bits)"
        )
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
