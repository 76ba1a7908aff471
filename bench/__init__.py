"""Compares this system with others on one machine, in one run. See docs/reference/performance.md."""
