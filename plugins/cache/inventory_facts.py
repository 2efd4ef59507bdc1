"""Cache `inventory_facts`: what hosts told of themselves, kept for a day, for each inventory apart.

Ansible's own `jsonfile` keeps facts by a host's name alone. Two inventories (production, and one to try
things on) may well give the same name to different hosts: they must not take each other's facts for theirs.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from ansible.plugins.cache.jsonfile import CacheModule as JsonFiles

from ansible import context

DOCUMENTATION = r"""
name: inventory_facts
short_description: JSON files, a folder for each inventory
description:
  - As the cache C(jsonfile), in a folder below the one that is given.
  - C(--flush-cache) makes Ansible ask the hosts again, after one was installed anew, say.
options:
  _uri:
    description: The folder.
    required: true
    type: path
    env:
      - name: ANSIBLE_CACHE_PLUGIN_CONNECTION
    ini:
      - key: fact_caching_connection
        section: defaults
  _prefix:
    description: Starts the names of the files.
    env:
      - name: ANSIBLE_CACHE_PLUGIN_PREFIX
    ini:
      - key: fact_caching_prefix
        section: defaults
  _timeout:
    description: Seconds after which facts are asked for again.
    default: 86400
    type: integer
    env:
      - name: ANSIBLE_CACHE_PLUGIN_TIMEOUT
    ini:
      - key: fact_caching_timeout
        section: defaults
author: OrbitBot contributors
"""


class CacheModule(JsonFiles):
    """See the module's text."""

    def _get_cache_connection(self, source: Any) -> str | None:
        folder = super()._get_cache_connection(source)
        if not folder:
            return None
        sources = context.CLIARGS.get("inventory") or ()
        # A source may be a list of hosts instead of a path.
        named = "\n".join(str(Path(each).resolve()) if Path(each).exists() else each for each in sources)
        own = Path(folder, hashlib.sha256(named.encode()).hexdigest()[:12])
        own.mkdir(parents=True, exist_ok=True)  # here, for two runs that begin at the same time
        return str(own)
