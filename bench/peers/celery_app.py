"""The Celery application. Redis is the broker, MongoDB stores the results."""

from celery import Celery

from bench.peers.task import TASK, hash_text


def celery_app(broker: str, results: str) -> Celery:
    """`broker` and `results` are URLs.

    A task is acknowledged after it ran, so a killed worker loses no task.
    """
    app = Celery("bench", broker=broker, backend=results)
    app.conf.task_acks_late = True
    app.task(name=TASK)(hash_text)
    return app
