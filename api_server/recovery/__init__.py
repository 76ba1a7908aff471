"""Finds the jobs that nobody works on: not published, abandoned by a worker, or expired."""
