"""What every room stands on: settings, logs, errors, tokens, database, Redis, HTTP server."""
