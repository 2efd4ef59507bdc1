"""Shared helpers of the tests: private servers, keys, clients of the services.

Fixtures are in `tests/conftest.py`:

* `cluster` (session): a private PostgreSQL cluster with the application's roles.
* `database` (per test): a fresh, migrated database in it, copied from a template in some 50 ms.
* `redis_server` (session) and `redis_url` (per test, flushed): a private Redis.
* `keys` (session): an Ed25519 key pair and a `TokenSigner`.
* `free_port`: a function that finds a free TCP port on loopback.
"""
