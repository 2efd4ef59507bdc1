#!/usr/bin/python3
"""Module `host_services`: all services of a host in their slots: back, retired, or at an earlier release."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_services
short_description: All services of a host in their slots
description:
  - Acts on every service that has a front on this host, as it was recorded when its release became the active
    one. See the module M(service_slot).
options:
  state:
    description:
      - C(retired) has the idle slots finish and end.
      - C(back) returns those services whose nginx was switched since the last C(retired).
      - C(release) has every service run O(release), with the settings that it had then. Where one of them
        does not come up, all stay as they were.
    type: str
    choices: [retired, back, release]
    required: true
  release:
    description: With C(release), which one.
    type: str
  retire:
    description: With C(release), whether the old slots are told to finish at once.
    type: bool
    default: true
  root:
    description: Directory of C(releases/).
    type: path
    default: /opt/orbitbot
  socket:
    description: Supervisor's unix socket.
    type: path
    default: /run/supervisor.sock
author: OrbitBot contributors
"""

EXAMPLES = r"""
- name: Return to what ran before
  host_services:
    state: back
"""

RETURN = r"""
actions:
  description: What was done, in order.
  type: list
  elements: str
  returned: always
services:
  description: Service → the release that nginx passes to now.
  type: dict
  returned: always
"""

import re  # noqa: E402  (a module's documentation comes first)
import xmlrpc.client  # noqa: E402
from concurrent.futures import ThreadPoolExecutor  # noqa: E402
from pathlib import Path  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402
from ansible.module_utils.slots import (  # noqa: E402
    FRONTS,
    PROGRAMS,
    Service,
    SlotError,
    Slots,
    active_slot,
    retire,
    text_of,
)
from ansible.module_utils.supervisor_rpc import SupervisorError, connect  # noqa: E402

_RELEASE = re.compile(r"/releases/([^/\s]+)/")


def names() -> list[str]:
    """The services that have a front on this host."""
    return sorted(path.stem for path in FRONTS.glob("*.conf"))


def running() -> dict[str, str]:
    """Service → the release of its active slot."""
    found = {}
    for name in names():
        release = _RELEASE.search(text_of(PROGRAMS / f"orbitbot-{name}-{active_slot(name)}.conf"))
        found[name] = release[1] if release else ""
    return found


def recorded(root: Path, name: str, release: str) -> Service:
    """The service as it was when a release was the active one.

    Raises:
        SlotError: it never was that here.
    """
    path = root / "releases" / release / "services" / f"{name}.json"
    if not path.exists():
        raise SlotError(f"release {release} has never run as {name} on this host")
    return Service.read(path)


def roll(slots: list[Slots], *, then_retire: bool) -> None:
    """Start all, then switch all; where one does not come up, all stay as they were."""
    with ThreadPoolExecutor(len(slots) or 1) as pool:
        futures = [pool.submit(each.start) for each in slots]
    errors = [future.exception() for future in futures]
    if any(errors):
        retire(slots)
        raise SlotError("; ".join(str(error) for error in errors if error))
    try:
        for each, future in zip(slots, futures, strict=True):
            each.switch(future.result())
    except SlotError:
        for each in slots:
            each.go_back()
        retire(slots)
        raise
    if then_retire:
        retire(slots)


def main() -> None:
    """The module's entry."""
    module = AnsibleModule(
        {
            "state": {"type": "str", "choices": ["retired", "back", "release"], "required": True},
            "release": {"type": "str"},
            "retire": {"type": "bool", "default": True},
            "root": {"type": "path", "default": "/opt/orbitbot"},
            "socket": {"type": "path", "default": "/run/supervisor.sock"},
        },
        required_if=[("state", "release", ["release"])],
        supports_check_mode=True,
    )
    state, release = module.params["state"], module.params["release"]
    slots: list[Slots] = []
    try:
        for name, runs in running().items():
            service = recorded(Path(module.params["root"]), name, release or runs)
            slots.append(Slots(connect(module.params["socket"]), service, check_mode=module.check_mode))
        if state == "release":
            roll(slots, then_retire=module.params["retire"])
        elif state == "retired":
            retire(slots)
        else:
            for each in slots:
                each.go_back()
    except OSError as error:
        module.fail_json(msg=f"supervisor does not answer: {error}")
    except (SlotError, SupervisorError, xmlrpc.client.Fault) as error:
        module.fail_json(msg=str(error), actions=[action for each in slots for action in each.actions])
    actions = [action for each in slots for action in each.actions]
    module.exit_json(changed=bool(actions), actions=actions, services=running())


if __name__ == "__main__":
    main()
