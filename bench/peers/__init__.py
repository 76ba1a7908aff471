"""Celery, configured as its documentation recommends for tasks that must not be lost."""
