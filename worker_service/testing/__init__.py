"""Runs a handler in a user's test, by the rules of a worker. It needs no server and no settings."""
