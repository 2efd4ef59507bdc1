"""Replaces the 32 bytes of WhatsApp's Noise root key in the memory of a loaded neonize library."""

import ctypes
from pathlib import Path

# The public key by which WhatsApp's clients know their server's certificates.
WHATSAPP_ROOT = bytes.fromhex("142375574d0a587166aae71ebe516437c4a28b73e3695c6ce1f7f9545da8ee6b")


class RootKeyNotFound(Exception):
    """The library does not hold the key as it is expected."""


def replace(library, key):
    """Put `key` in the place of WhatsApp's in the loaded `library` (a path).

    Raises:
        RootKeyNotFound: the message says what to do.
    """
    content = Path(library).read_bytes()
    places = content.count(WHATSAPP_ROOT)
    offset = content.find(WHATSAPP_ROOT)
    del content
    address = _address(library, offset) if places == 1 else None
    if address is None or ctypes.string_at(address, 32) != WHATSAPP_ROOT:
        raise RootKeyNotFound(
            f"{library} holds WhatsApp's Noise root key {places} times; expected: once, in writable memory. "
            "This neonize was built differently from the pinned one. Find the key in whatsmeow's "
            "handshake.go (WACertPubKey) at the version that this neonize names (`strings` over the library "
            "shows it), put it into WHATSAPP_ROOT in tests/whatsapp/site/noise_root.py and run "
            "tests/integration/whatsapp again; or pin the neonize of before in pyproject.toml."
        )
    ctypes.memmove(address, key, 32)


def _address(library, offset):
    """Where the byte at `offset` of the file lies in this process's writable memory; None if nowhere."""
    with Path("/proc/self/maps").open() as maps:
        for line in maps:
            parts = line.split()
            if len(parts) > 5 and parts[5] == library and "w" in parts[1]:
                start, end = (int(each, 16) for each in parts[0].split("-"))
                begins = int(parts[2], 16)
                if begins <= offset < begins + end - start:
                    return start + offset - begins
    return None
