"""Job type `thumbnail`: makes a small picture of a large one. It needs Pillow."""

import base64
import io
from typing import Any

from PIL import Image

from worker_service import InputError, Job, handler

MAX_WIDTH = 1000


@handler("thumbnail")
def thumbnail(job: Job) -> dict[str, Any]:
    """`picture` is base64. The first attempt fails if the payload has `fails_first`, as after an outage."""
    width = job.payload.get("width")
    if type(width) is not int or not 1 <= width <= MAX_WIDTH:
        raise InputError("width", f"must be a whole number from 1 to {MAX_WIDTH}")
    if job.payload.get("fails_first") and job.attempt == 1:
        raise RuntimeError("the disk is full")
    try:
        image = Image.open(io.BytesIO(base64.b64decode(job.payload["picture"], validate=True)))
        image.thumbnail((width, width))
    except (KeyError, TypeError, ValueError, OSError, Image.DecompressionBombError):
        raise InputError("picture", "must be a picture as base64") from None
    small = io.BytesIO()
    image.save(small, "PNG")
    size = {"width": image.width, "height": image.height}
    return {**size, "picture": base64.b64encode(small.getvalue()).decode()}
