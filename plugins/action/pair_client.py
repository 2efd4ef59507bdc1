"""Action `pair_client`: shows a client's QR code in the terminal until a phone is linked.

Arguments:
    url, ca_certificate, token: as of `operator_api`.
    client: the client's id.
    phone: show a code to type into the phone with this number, instead of QR codes.
    timeout: seconds (600).

The codes are drawn in place where there is a terminal, and one below the other where there is none. Returns
`paired`; `changed` is whether the phone was linked by this very task.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from orbitbot.contracts.pairing import PairingView
from orbitbot.foundation.errors import InvalidInput
from orbitbot.foundation.names import check_client_id
from orbitbot.foundation.phone_numbers import parse_number
from orbitbot.pairing.terminal import Drawing, follow

TIMEOUT = 600.0  # seconds
_CALL_TIMEOUT = 30.0  # seconds
_ARGUMENTS = ("url", "ca_certificate", "token", "client", "phone", "timeout")


class ActionModule(ActionBase):
    """See the module's text."""

    _VALID_ARGS = frozenset(_ARGUMENTS)
    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Show codes, and wait."""
        super().run(tmp, task_vars)
        arguments = self._task.args
        try:
            client = check_client_id(str(arguments["client"]))
            phone = str(arguments.get("phone") or "")
            number = parse_number(phone, field="phone") if phone else ""
        except InvalidInput as error:
            raise AnsibleActionFail(error.detail) from None
        if self._task.check_mode:
            return {"changed": False, "skipped": True}
        pairing = _Pairing(self._call, client)
        if pairing.read().phase == "paired":
            return {"changed": False, "paired": True}
        with ExitStack() as stack:
            drawing = _drawing(stack)
            done = follow(pairing, drawing, phone=number, seconds=float(arguments.get("timeout", TIMEOUT)))
        if not done:
            raise AnsibleActionFail(
                f"{client} was not paired. The bot runs; pair it with playbooks/pair-client.yml"
            )
        return {"changed": True, "paired": True}

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> bytes:
        arguments = self._task.args
        task = self._task.copy()
        task.args = {
            "url": arguments["url"],
            "ca_certificate": arguments.get("ca_certificate", ""),
            "token": arguments.get("token", ""),
            "method": method,
            "path": path,
            "accept": [409],
            **({"body": body} if body is not None else {}),
        }
        action = self._shared_loader_obj.action_loader.get(
            "operator_api",
            task=task,
            connection=self._connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
        )
        return json.dumps(action.run()["json"]).encode()


class _Pairing:
    """One client's pairing, through the API."""

    def __init__(self, call: Any, client: str) -> None:
        self._call = call
        self._path = f"/api/clients/{client}/pairing"

    def read(self) -> PairingView:
        """How it stands."""
        return msgspec.json.decode(self._call("GET", self._path), type=PairingView)

    def begin(self) -> None:
        """Ask for a round of codes."""
        self._call("POST", self._path)

    def request_phone_code(self, number: str) -> None:
        """Ask for a code to type."""
        self._call("POST", f"{self._path}/phone-code", {"number": f"+{number}"})


def _drawing(stack: ExitStack) -> Drawing:
    """On the operator's terminal, past Ansible's own output; without one through Ansible's output."""
    try:
        terminal = Path("/dev/tty").open("w")  # noqa: SIM115  (the stack closes it)
    except OSError:
        return Drawing(_Displayed(), in_place=False)
    return Drawing(stack.enter_context(terminal), in_place=True)


class _Displayed:
    """Writes what comes through Ansible's display."""

    def write(self, text: str) -> int:
        """Show it."""
        Display().display(text.rstrip("\n"))
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""
