"""Calls to the API server, and how long to wait before a call is repeated."""
