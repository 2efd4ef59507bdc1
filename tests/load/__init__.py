"""Measures: each compares two sides, interleaved in one run. docs/benchmarks.md has their figures."""
