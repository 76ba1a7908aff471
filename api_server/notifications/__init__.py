"""Stores the notifications of jobs that have ended."""
