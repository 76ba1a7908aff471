"""Converts the statistics to the contract's message."""

from collections.abc import Mapping

from api_server.domain.activity import COUNTS, Activity
from api_server.domain.histogram import quantile
from api_server.rpc.answers import duration_message, timestamp
from api_server.services.stats import StatsReport, TypeStats
from job_client._gen.jobs.v1 import stats_pb2

PERCENTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def stats_message(report: StatsReport) -> stats_pb2.StatsResponse:
    response = stats_pb2.StatsResponse(types=map(_type, report.types))
    for start, by_type in report.minutes:
        minute = response.minutes.add(start_time=timestamp(start))
        minute.activities.extend(_activity(job_type, by_type[job_type]) for job_type in sorted(by_type))
    return response


def _type(stats: TypeStats) -> stats_pb2.TypeStats:
    return stats_pb2.TypeStats(
        type=stats.type,
        queued=stats.queued.count,
        queued_capped=stats.queued.is_capped,
        processing=stats.processing.count,
        processing_capped=stats.processing.is_capped,
        oldest_waiting=duration_message(stats.oldest_age),
        oldest_waiting_capped=stats.oldest_is_capped,
        completed_total=stats.totals.completed,
        failed_total=stats.totals.failed,
        cancelled_total=stats.totals.cancelled,
        last_hour=_activity(stats.type, stats.last_hour),
        has_worker=stats.has_worker,
    )


def _activity(job_type: str, activity: Activity) -> stats_pb2.Activity:
    return stats_pb2.Activity(
        type=job_type,
        **{name: getattr(activity, name) for name in COUNTS},
        start_latency=_latency(activity.to_start),
        run_latency=_latency(activity.run),
    )


def _latency(histogram: Mapping[int, float]) -> stats_pb2.Latency | None:
    if not histogram:
        return None
    return stats_pb2.Latency(
        **{name: duration_message(quantile(histogram, share)) for name, share in PERCENTILES.items()}
    )
