"""The worker service.

Your own handlers import what they need from here; see docs/howto/write-a-handler.md.
"""

from worker_service.handler_api.errors import InputError, PermanentError, RetryAfter
from worker_service.handler_api.handler import handler
from worker_service.handler_api.job import Job
from worker_service.handler_api.progress import progress

__all__ = ["InputError", "Job", "PermanentError", "RetryAfter", "handler", "progress"]
