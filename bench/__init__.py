"""Measures this system beside others on one machine, in one run. See docs/reference/performance.md."""
