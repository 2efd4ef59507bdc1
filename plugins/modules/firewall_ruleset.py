#!/usr/bin/python3
"""Module `firewall_ruleset`: a new ruleset is on trial until it is confirmed from outside."""

from __future__ import annotations

DOCUMENTATION = r"""
module: firewall_ruleset
short_description: Loads the table `inet orbitbot` on trial, and keeps it once it is confirmed
description:
  - The ruleset that holds is C(/etc/nftables.d/orbitbot.nft); the new one is beside it, with the ending
    C(.candidate).
  - RV(changed) of C(tried) says that a trial is under way. Without a C(confirmed) in time, systemd loads the
    ruleset that held before, whatever has become of the connection or of the playbook.
  - The running table is compared with the one that was confirmed, so that one that was changed or flushed by
    hand is loaded again.
options:
  state:
    description:
      - C(tried) loads the candidate, if it is not what holds and runs already, and starts the clock.
      - C(confirmed) stops the clock and makes the candidate the ruleset that holds.
      - C(reverted) waits until the clock has run down and the ruleset before is back.
      - C(absent) unloads the table and removes its files.
    type: str
    choices: [tried, confirmed, reverted, absent]
    required: true
  seconds:
    description: Length of a trial.
    type: int
    default: 30
author: OrbitBot contributors
"""

EXAMPLES = r"""
- name: Try the ruleset
  firewall_ruleset:
    state: tried
    seconds: 30
"""

RETURN = r"""
actions:
  description: What was done, in order.
  type: list
  elements: str
  returned: always
"""

import hashlib  # noqa: E402  (a module's documentation comes first)
import shutil  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

RULESET = Path("/etc/nftables.d/orbitbot.nft")
CANDIDATE = RULESET.with_suffix(".candidate")
USERS = Path("/etc/nftables.d/orbitbot-users.nft")
CONFIRMED = Path("/var/lib/orbitbot/firewall.confirmed")  # digest of the table that was confirmed
TRIED = Path("/run/orbitbot-firewall.tried")  # digest of the table on trial
ROLLBACK = "orbitbot-firewall-rollback"
POLL_INTERVAL = 0.2  # seconds
NOTHING = "table inet orbitbot\ndelete table inet orbitbot\n"


class Ruleset:
    """The table `inet orbitbot` of this host."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self.actions: list[str] = []

    def tried(self) -> None:
        """Load the candidate on trial, unless it holds and runs already."""
        same = _read(CANDIDATE) == _read(RULESET)
        if same and _read(CONFIRMED) and _read(CONFIRMED) == self._running():
            return
        self.actions.append("load")
        if self._module.check_mode:
            return
        self._stop_clock()
        clock = ["--on-active", str(self._module.params["seconds"]), "--timer-property=AccuracySec=100ms"]
        self._run(["systemd-run", f"--unit={ROLLBACK}", "--collect", *clock, "nft", "--file", str(RULESET)])
        self._run(["nft", "--file", str(CANDIDATE)])
        TRIED.write_text(self._running(), "ascii")

    def confirmed(self) -> None:
        """Keep what is on trial."""
        self._stop_clock()
        if self._running() != _read(TRIED):
            self._module.fail_json(
                msg="the trial was over before it was confirmed; the ruleset before is back"
            )
        draft = RULESET.with_suffix(".new")
        shutil.copy(CANDIDATE, draft)
        draft.replace(RULESET)
        CONFIRMED.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        CONFIRMED.write_text(self._running(), "ascii")
        TRIED.unlink()
        self.actions.append("keep")

    def reverted(self) -> None:
        """Wait for the end of a trial that was not confirmed."""
        deadline = time.monotonic() + self._module.params["seconds"] + 10.0  # seconds
        while self._module.run_command(["systemctl", "is-active", f"{ROLLBACK}.timer"])[0] == 0:
            if time.monotonic() > deadline:
                self._module.fail_json(msg=f"{ROLLBACK}.timer is still waiting: it should have run by now")
            time.sleep(POLL_INTERVAL)
        self.actions.append("revert")

    def absent(self) -> None:
        """Have neither table nor files."""
        if self._running():
            self.actions.append("unload")
        files = [path for path in (RULESET, CANDIDATE, USERS, CONFIRMED, TRIED) if path.exists()]
        self.actions += [f"remove {path}" for path in files]
        if self._module.check_mode or not self.actions:
            return
        self._stop_clock()
        if self._running():
            self._module.run_command(["nft", "--file", "-"], data=NOTHING, check_rc=True)
        for path in files:
            path.unlink()

    def _running(self) -> str:
        """A digest of the table without counters and users; empty when there is none.

        In numbers: /etc/protocols, from which nft has the names of protocols, may come with a later package.
        """
        command = ["nft", "--stateless", "--terse", "--numeric", "list", "table", "inet", "orbitbot"]
        status, out, _ = self._module.run_command(command)
        return hashlib.sha256(out.encode()).hexdigest() if status == 0 else ""

    def _stop_clock(self) -> None:
        if self._module.run_command(["systemctl", "is-active", f"{ROLLBACK}.timer"])[0] == 0:
            self._run(["systemctl", "stop", f"{ROLLBACK}.timer"])

    def _run(self, command: list[str]) -> None:
        status, out, err = self._module.run_command(command)
        if status != 0:
            self._module.fail_json(msg=f"`{' '.join(command)}` failed: {(err or out).strip()}")


def _read(path: Path) -> str:
    return path.read_text("utf-8") if path.exists() else ""


def main() -> None:
    """The module's entry."""
    states = ["tried", "confirmed", "reverted", "absent"]
    module = AnsibleModule(
        {
            "state": {"type": "str", "choices": states, "required": True},
            "seconds": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    ruleset = Ruleset(module)
    getattr(ruleset, module.params["state"])()
    module.exit_json(changed=bool(ruleset.actions), actions=ruleset.actions)


if __name__ == "__main__":
    main()
