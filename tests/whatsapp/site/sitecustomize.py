"""Replaces the Noise root key in neonize's library as soon as a process has loaded it. Only in tests.

Python imports a module of this name at its start, before the program. It must cost a bot next to nothing: the
measures run with it.
"""

import os
import sys

_ROOT = os.environ.get("ORBITBOT_TEST_NOISE_ROOT", "")


class _Loader:
    """Loads `neonize._binder` as always, then replaces the key in the library that it has loaded."""

    def __init__(self, loader):
        self._loader = loader

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        self._loader.exec_module(module)
        from noise_root import replace  # noqa: PLC0415

        replace(module.gocode._name, bytes.fromhex(_ROOT))


class _Finder:
    """Sees `neonize._binder` come, once."""

    def find_spec(self, name, path=None, target=None):
        if name != "neonize._binder":
            return None
        sys.meta_path.remove(self)
        from importlib.util import find_spec  # noqa: PLC0415

        spec = find_spec(name)
        if spec is not None:
            spec.loader = _Loader(spec.loader)
        return spec


if _ROOT:
    sys.meta_path.insert(0, _Finder())
