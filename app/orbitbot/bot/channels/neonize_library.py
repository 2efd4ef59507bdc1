"""Loads neonize small and quiet: there are hundreds of bots on a host.

neonize imports whole libraries for things that this bot never does (stickers, link previews, thumbnails,
telephone books). Stand-ins take their places: an attribute of one is a promise, and the real library is
loaded when the promise is first called.
"""

import concurrent.futures  # noqa: F401  (the parent of a module that is stood in for)
import ctypes
import gc
import importlib
import importlib.abc
import importlib.machinery
import logging
import os
import re
import sys
import types
from typing import Any, Final

from orbitbot.foundation.logs import mask_contact

# What neonize imports at its start and this bot does not use; the submodules that it asks for by name.
_SELDOM: Final[dict[str, tuple[str, ...]]] = {
    "PIL": ("Image", "ImageSequence"),
    "concurrent.futures.process": (),  # and with it multiprocessing
    "google.protobuf.internal.python_message": (),  # for machines without protobuf's C library
    "httpx": (),
    "linkpreview": (),
    "magic": (),
    "neonize.ext.interactive_message": ("base",),
    "neonize.proto.waConsumerApplication": ("WAConsumerApplication_pb2",),
    "neonize.proto.waMsgApplication": ("WAMsgApplication_pb2",),
    "neonize.utils.calc": (),
    "neonize.utils.sticker": (),
    "phonenumbers": (),
    "requests": (),
    "segno": (),
    "tqdm": (),
    "zipfile": (),
}
_TWICE: Final = "neonize.proto.wa"
_BUILDER: Final = "google.protobuf.internal.builder"
# The Go library sees the environment with which the process was started, and no change of it.
ENVIRONMENT: Final = {
    "GOGC": "15",  # percent of growth before a collection; the heap is small
    "GOMAXPROCS": "2",
    "GODEBUG": "madvdontneed=1",
    "MALLOC_ARENA_MAX": "1",
    # Unless told otherwise neonize puts an "AI" badge on every message.
    "NEONIZE_BOT_TAG": "off",
    # The certificates in this directory are those of the bundle that Go reads anyway.
    "SSL_CERT_DIR": "/nonexistent",
}
_C: Final = ctypes.CDLL(None)
_LONG_NUMBER: Final = re.compile(r"\d{7,}")

log = logging.getLogger(__name__)


class NeonizeMissing(Exception):
    """neonize cannot be loaded in this virtual environment."""


def load() -> Any:
    """The module `neonize.client`, loaded once per process.

    Raises:
        NeonizeMissing: the message says why.
    """
    if "neonize.client" in sys.modules:
        return sys.modules["neonize.client"]
    _quieten_logs()
    once = _Once()
    sys.meta_path.insert(0, once)
    stand_ins = [name for name in _SELDOM if name not in sys.modules]
    for name in stand_ins:
        _stand_in(name)
    try:
        sys.modules.setdefault(_BUILDER, importlib.import_module("orbitbot.bot.channels.lazy_messages"))
        return importlib.import_module("neonize.client")
    except (ImportError, OSError, RuntimeError) as error:
        raise NeonizeMissing(f"{type(error).__name__}: {error}") from error
    finally:
        sys.meta_path.remove(once)
        for name in stand_ins:
            _step_aside(name)


def ensure_environment() -> None:
    """Start this program anew with what the library needs in its environment, unless it is there already."""
    if ENVIRONMENT.items() <= os.environ.items():
        return
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | ENVIRONMENT)  # noqa: S606


def silence_standard_output() -> None:
    """Point standard output at nothing: the Go library prints there, addresses and all."""
    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    os.dup2(nowhere, 1)
    os.close(nowhere)


class _Once(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """neonize's generated modules are found by two names; with this, both mean one module."""

    def find_spec(
        self,
        fullname: str,
        path: Any = None,  # noqa: ARG002
        target: Any = None,  # noqa: ARG002
    ) -> importlib.machinery.ModuleSpec | None:
        """A spec for the longer name."""
        return importlib.machinery.ModuleSpec(fullname, self) if fullname.startswith(_TWICE) else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        """The module of the shorter name, on the path since `neonize.proto` was imported."""
        return importlib.import_module(spec.name.removeprefix("neonize.proto."))

    def exec_module(self, module: types.ModuleType) -> None:
        """It has been."""


def give_memory_back() -> None:
    """Give back what imports and the first connection have left behind."""
    gc.collect()
    _C.malloc_trim(0)


class _Promise:
    """An attribute of a library that is not loaded yet."""

    __slots__ = ("_library", "_name")

    def __init__(self, library: str, name: str) -> None:
        self._library = library
        self._name = name

    def __call__(self, *positional: Any, **named: Any) -> Any:
        return getattr(importlib.import_module(self._library), self._name)(*positional, **named)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(getattr(importlib.import_module(self._library), self._name), name)

    def __or__(self, other: Any) -> Any:
        return self  # an annotation such as `Image | None`

    __ror__ = __or__


class _StandIn(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Promise(self.__name__, name)


def _stand_in(name: str) -> None:
    for each in (name, *(f"{name}.{sub}" for sub in _SELDOM[name])):
        module = _StandIn(each)
        module.__path__ = []
        module.__spec__ = importlib.machinery.ModuleSpec(each, None)
        sys.modules[each] = module
        parent, _, child = each.rpartition(".")
        if parent in sys.modules:
            setattr(sys.modules[parent], child, module)


def _step_aside(name: str) -> None:
    """From now on an import gets the real library; neonize keeps the stand-in's promises."""
    for each in [each for each in sys.modules if each == name or each.startswith(f"{name}.")]:
        if isinstance(sys.modules[each], _StandIn):
            del sys.modules[each]


def _quieten_logs() -> None:
    for handler in logging.getLogger().handlers:
        handler.addFilter(_mask_numbers)
    logging.getLogger("neonize").setLevel(logging.ERROR)
    # neonize asks the Go library for the lines that this logger lets through. Below warnings they hold keys.
    logging.getLogger("neonize.utils.log").setLevel(logging.WARNING)


def _mask_numbers(record: logging.LogRecord) -> bool:
    """whatsmeow's lines name contacts by their numbers; ours never do."""
    if record.name.lower().startswith(("whatsmeow", "neonize")):
        record.msg = _LONG_NUMBER.sub(lambda found: mask_contact(found[0]), record.getMessage())
        record.args = ()
    return True
