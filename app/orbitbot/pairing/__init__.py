"""Linking a phone to a client: codes, their state, and the one-time links to the page that shows them."""
