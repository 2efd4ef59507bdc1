"""The client: registration, credentials, versioned configuration, and how its bot is."""
