"""What a module with handlers imports: `from job_client.worker import handler`.

It needs the packages of a worker, but no server and no settings.
"""

from worker_service import InputError, Job, PermanentError, RetryAfter, handler, progress

__all__ = ["InputError", "Job", "PermanentError", "RetryAfter", "handler", "progress"]
