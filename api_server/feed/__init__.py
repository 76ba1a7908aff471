"""Tells the calls that wait what has happened to their jobs."""
