"""Makes 500 thumbnails: 25 pictures are damaged, and 50 more fail in their first attempt."""

import base64
import io
import sys
import time
from collections import Counter
from collections.abc import Iterator

from PIL import Image

from job_client import JobClient, NewJob, RetryPolicy

COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 500
BATCH = {"batch": f"thumbnails-{time.time_ns()}"}


def jobs() -> Iterator[NewJob]:
    for n in range(COUNT):
        file = io.BytesIO()
        Image.new("RGB", (320, 240), (n % 256, 90, 160)).save(file, "PNG")
        picture = "damaged" if n % 20 == 7 else base64.b64encode(file.getvalue()).decode()
        payload = {"picture": picture, "width": 64, "fails_first": n % 10 == 3}
        yield NewJob("thumbnail", payload, BATCH, retry_policy=RetryPolicy(max_attempts=1))


with JobClient.from_env() as client:
    begin, ended = time.monotonic(), []
    for outcome in list(client.submit_many(jobs())):
        ended.append(client.wait(outcome.result()))
        print(f"{len(ended)} of {COUNT} have ended", end="\r" if len(ended) < COUNT else "\n")
    print(f"{time.monotonic() - begin:.1f} s with {len(client.workers().workers)} worker(s)")
    print("errors:", dict(Counter(job.error.reason for job in ended if job.error)))
    operation = client.bulk_retry(labels=BATCH, error_reasons=["HANDLER_ERROR"])
    *_, operation = client.watch_operation(operation.id)
    print(operation.changed, "retried")
    print(dict(Counter(client.wait(job).status.value for job in ended)))
