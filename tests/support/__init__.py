"""What tests share: services that they start, voices, keys."""
