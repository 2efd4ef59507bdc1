"""OrbitBot: AI assistants on WhatsApp for many clients, on a fleet of bare hosts."""

from importlib.metadata import version

__version__ = version("orbitbot")
