"""Backups of an OrbitBot host: the program `orbitbot-backup`. Runs on Debian's Python, needs nothing else.

`settings.py` says what it reads, `jobs.py` which jobs there are, `records.py` what is kept of each run.
"""
