#!/usr/bin/python3
"""Module `firewall_users`: the firewall knows every bot's user on this host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: firewall_users
short_description: The user ids that the firewall keeps off the database
description:
  - Writes the set C(bot_users) of the table C(inet orbitbot) from the host's accounts, and has the running
    firewall know the same users. Numbers are written, not names - a name that is gone would stop the whole
    firewall from loading.
  - To be run after a bot's user was created or removed. On a host that the role C(firewall) does not manage
    it does nothing.
options:
  prefix:
    description: What the names of bots' users start with.
    type: str
    default: bot-
author: OrbitBot contributors
"""

EXAMPLES = r"""
- name: Tell the firewall the bots' users
  firewall_users:
"""

RETURN = r"""
managed:
  description: Whether the host has this firewall.
  type: bool
  returned: always
users:
  description: The user ids in the set.
  type: list
  elements: int
  returned: always
"""

import json  # noqa: E402  (a module's documentation comes first)
import pwd  # noqa: E402
from collections.abc import Sequence  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

RULESET = Path("/etc/nftables.d/orbitbot.nft")
USERS = Path("/etc/nftables.d/orbitbot-users.nft")


def render(users: Sequence[int]) -> str:
    """The file that puts exactly `users` into the set, whether or not the table is there."""
    text = (
        "# Managed by Ansible\n"
        "table inet orbitbot {\n\tset bot_users {\n\t\ttype uid\n\t}\n}\n"
        "flush set inet orbitbot bot_users\n"
    )
    if users:
        text += f"add element inet orbitbot bot_users {{ {', '.join(map(str, users))} }}\n"
    return text


def running(listing: str) -> list[int]:
    """The user ids of the set, from `nft --json list set`."""
    found: list[dict[str, Any]] = json.loads(listing)["nftables"]
    return sorted(element for each in found for element in each.get("set", {}).get("elem", []))


def main() -> None:
    """The module's entry."""
    module = AnsibleModule({"prefix": {"type": "str", "default": "bot-"}}, supports_check_mode=True)
    if not RULESET.exists():
        module.exit_json(changed=False, managed=False, users=[])
    prefix = module.params["prefix"]
    users = sorted(account.pw_uid for account in pwd.getpwall() if account.pw_name.startswith(prefix))
    before, after = USERS.read_text("utf-8") if USERS.exists() else "", render(users)
    status, listing, _ = module.run_command(["nft", "--json", "list", "set", "inet", "orbitbot", "bot_users"])
    live = status == 0 and running(listing) == users
    if not module.check_mode:
        if before != after:
            draft = USERS.with_name(f".{USERS.name}.new")
            draft.write_text(after, "utf-8")
            draft.replace(USERS)
        if not live:
            module.run_command(["nft", "--file", str(USERS)], check_rc=True)
    module.exit_json(
        changed=before != after or not live,
        managed=True,
        users=users,
        diff={"before": before, "after": after, "before_header": str(USERS), "after_header": str(USERS)},
    )


if __name__ == "__main__":
    main()
