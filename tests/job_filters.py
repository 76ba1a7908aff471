"""What a filter for jobs says, without MongoDB."""

from collections.abc import Mapping
from typing import Any

from api_server.domain.job import Status
from api_server.domain.listing import JobFilter


def is_wanted(document: Mapping[str, Any], wanted: JobFilter) -> bool:
    """Whether the filter selects the job in a stored document."""
    pairs = document.get("labels", [])
    ended = document.get("end_time")
    return (
        (not wanted.statuses or Status(document["status"]) in wanted.statuses)
        and (not wanted.types or document["type"] in wanted.types)
        and all(f"{key}={value}" in pairs for key, value in wanted.labels.items())
        and all(any(pair.startswith(f"{key}=") for pair in pairs) for key in wanted.label_keys)
        and (not wanted.error_reasons or document.get("error", {}).get("reason") in wanted.error_reasons)
        and (not wanted.worker_ids or document.get("worker_id") in wanted.worker_ids)
        and (wanted.created_from is None or wanted.created_from <= document["create_time"])
        and (wanted.created_before is None or document["create_time"] < wanted.created_before)
        and (wanted.ended_from is None or (ended is not None and wanted.ended_from <= ended))
        and (wanted.ended_before is None or (ended is not None and ended < wanted.ended_before))
    )
