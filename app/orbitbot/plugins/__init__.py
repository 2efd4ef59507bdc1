"""Hook specifications and the built-in plugins.

A plugin adds facts to what a client's assistant knows when it answers. To add one:

* built in: a module here whose class implements a hook of `hooks.py`, listed in `manager.BUILT_IN`;
* from another distribution: an entry point of the group `orbitbot` that names such an object; it is
  found at the service's start once the distribution is installed beside OrbitBot.
"""
