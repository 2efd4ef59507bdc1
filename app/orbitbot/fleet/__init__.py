"""Hosts and bots: which process may run a client, and what it is told to do."""
