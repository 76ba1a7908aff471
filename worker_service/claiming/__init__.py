"""Decides which records are claimed next, and claims their jobs: from a polled record to a job in flight."""
