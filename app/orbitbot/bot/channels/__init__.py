"""The ways to a client's contacts, each behind the `Channel` protocol."""
