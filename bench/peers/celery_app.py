"""The Celery application. Redis is the broker, MongoDB stores the results."""

from celery import Celery

from bench.work import digest

TASK = "sha256"
BROKER, RESULTS = "BENCH_CELERY_BROKER", "BENCH_CELERY_RESULTS"
"""The environment variables with the worker's URLs."""


def celery_app(broker: str, results: str) -> Celery:
    """`broker` and `results` are URLs.

    A task is acknowledged after it ran, so a killed worker loses no task.
    """
    app = Celery("bench", broker=broker, backend=results)
    app.conf.task_acks_late = True
    app.task(name=TASK)(hash_text)
    return app


def hash_text(text: str) -> dict[str, str]:
    return {"hash": digest(text)}
