"""Celery, set up as its documentation says for work that must not be lost."""
