"""The public REST API: authenticates, limits, runs turns. It holds no AI logic."""
