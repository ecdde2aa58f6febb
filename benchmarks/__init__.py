"""Reproducible measurements; see benchmarks/README.md. Workers import this in foreign environments."""
