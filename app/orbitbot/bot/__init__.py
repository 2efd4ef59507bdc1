"""The process of one client: journal, turn-taking, delivery and the channel to its contacts."""
