#!/usr/bin/python3
"""Module `service_slot`: a service in one of its two slots behind nginx, changed without a failed request."""

from __future__ import annotations

DOCUMENTATION = r"""
module: service_slot
short_description: A service in one of its two slots behind nginx
description:
  - Has a service run as it is described, and nginx pass to it. Where the active slot runs something else, the
    idle one is started and tried, then nginx is switched by a reload, then the old one is told to finish.
  - When the new one does not start, is another release or does not become ready, it is taken away again and
    the module fails; what ran before was not touched.
  - A service that is not changed stays in its slot.
options:
  name:
    description: The service, such as C(gateway).
    type: str
    required: true
  state:
    description:
      - C(active) has it run as described.
      - C(back) returns to the other slot, as long as that has not been retired.
      - C(retired) has the idle slot finish and end.
    type: str
    choices: [active, back, retired]
    default: active
  retire:
    description: With C(active), whether the old slot is told to finish at once.
    type: bool
    default: true
  release:
    description: The release, as the service's C(/healthz) tells it.
    type: str
    required: true
  group:
    description: Who may read its settings.
    type: str
    required: true
  settings:
    description: Content of its settings file.
    type: str
    required: true
  program:
    description: Content of its program file; C(@SLOT@) and C(@PORT@) are filled in.
    type: str
    required: true
  front:
    description: Content of nginx's file; C(@SLOT@), C(@PORT@) and C(@OTHER_PORT@) are filled in.
    type: str
    required: true
  url:
    description: Where nginx serves it, as this host reaches it.
    type: str
    required: true
  ports:
    description: Ports of the two slots, on loopback.
    type: list
    elements: int
    required: true
  stop_seconds:
    description: Seconds that a slot may take to stop.
    type: float
    default: 45
  ready_seconds:
    description: Seconds until a started slot must answer.
    type: float
    default: 60
  require_ready:
    description: Whether it must also say that it can serve (C(/readyz)) before nginx is switched.
    type: bool
    default: false
  socket:
    description: Supervisor's unix socket.
    type: path
    default: /run/supervisor.sock
author: OrbitBot contributors
"""

EXAMPLES = r"""
- name: Run the gateway
  service_slot:
    name: gateway
    release: 0.1.0+3fa9c1d2e4b7
    group: orbitbot-gateway
    settings: "{{ lookup('ansible.builtin.template', 'settings.toml.j2') }}"
    program: "{{ lookup('ansible.builtin.template', 'program.conf.j2') }}"
    front: "{{ lookup('ansible.builtin.template', 'front.conf.j2') }}"
    url: http://127.0.0.1:3000
    ports: [3100, 3200]
"""

RETURN = r"""
actions:
  description: What was done, in order.
  type: list
  elements: str
  returned: always
slot:
  description: The active slot now.
  type: str
  returned: always
"""

import xmlrpc.client  # noqa: E402  (a module's documentation comes first)
from dataclasses import fields  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402
from ansible.module_utils.slots import Service, SlotError, Slots, active_slot  # noqa: E402
from ansible.module_utils.supervisor_rpc import SupervisorError, connect  # noqa: E402


def apply(slots: Slots, state: str, *, retire: bool) -> None:
    """Bring the slots into a state."""
    if state == "back":
        slots.go_back()
    elif state == "active":
        slots.switch(slots.start())
    if state == "retired" or (state == "active" and retire):
        slots.retire()


def main() -> None:
    """The module's entry."""
    module = AnsibleModule(
        {
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["active", "back", "retired"], "default": "active"},
            "retire": {"type": "bool", "default": True},
            "release": {"type": "str", "required": True},
            "group": {"type": "str", "required": True},
            "settings": {"type": "str", "required": True},
            "program": {"type": "str", "required": True},
            "front": {"type": "str", "required": True},
            "url": {"type": "str", "required": True},
            "ports": {"type": "list", "elements": "int", "required": True},
            "stop_seconds": {"type": "float", "default": 45.0},
            "ready_seconds": {"type": "float", "default": 60.0},
            "require_ready": {"type": "bool", "default": False},
            "socket": {"type": "path", "default": "/run/supervisor.sock"},
        },
        supports_check_mode=True,
    )
    given = {each.name: module.params[each.name] for each in fields(Service)}
    service = Service(**given | {"ports": tuple(module.params["ports"])})
    slots = Slots(connect(module.params["socket"]), service, check_mode=module.check_mode)
    try:
        apply(slots, module.params["state"], retire=module.params["retire"])
    except OSError as error:
        module.fail_json(msg=f"supervisor does not answer: {error}", actions=slots.actions)
    except (SlotError, SupervisorError, xmlrpc.client.Fault) as error:
        module.fail_json(msg=str(error), actions=slots.actions)
    module.exit_json(changed=bool(slots.actions), actions=slots.actions, slot=active_slot(service.name))


if __name__ == "__main__":
    main()
