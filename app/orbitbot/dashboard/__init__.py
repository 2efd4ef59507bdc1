"""Pages for people, mounted in the gateway."""
