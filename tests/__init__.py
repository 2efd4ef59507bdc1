"""Tests: `unit/`, `integration/` and so on mirror the package; `support/` is what they share."""
