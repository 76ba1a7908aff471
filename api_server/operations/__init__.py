"""Runs operations on many jobs, batch by batch."""
