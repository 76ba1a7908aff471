"""What people see of types, numbers, workers and logs. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from job_client.cli.output import DIM, GREEN, RED, YELLOW, Cell, Styled
from job_client.cli.times import clock_text, duration_text, from_now

if TYPE_CHECKING:
    from job_client.reports import Fleet, FleetChange, JobType, Latency, LogEntry, TypeStats, Worker

STATS_HEADER = (
    "TYPE",
    "QUEUED",
    "RUNNING",
    "OLDEST",
    "DONE",
    "FAILED",
    "START P50",
    "RUN P50",
    "RUN P99",
)
TYPES_HEADER = ("TYPE", "WORKERS", "WAITING", "STATE")
WORKERS_HEADER = ("ID", "STATE", "RUNNING", "DONE", "FAILED", "HEARTBEAT", "STARTED", "VERSION", "TYPES")
LEVELS = {"warning": YELLOW, "error": RED, "critical": RED, "debug": DIM}


def stats_row(stats: "TypeStats") -> Sequence[Cell]:
    """A row of STATS_HEADER."""
    hour = stats.last_hour
    start, run = (hour.start_latency, hour.run_latency) if hour else (None, None)
    failed = str(hour.failed if hour else 0)
    return (
        stats.type or "(not known)",
        count_text(stats.queued, stats.queued_capped),
        count_text(stats.processing, stats.processing_capped),
        _waiting(stats),
        str(hour.completed if hour else 0),
        Styled(failed, RED) if failed != "0" else failed,
        _percentile(start, 50),
        _percentile(run, 50),
        _percentile(run, 99),
    )


def _waiting(stats: "TypeStats") -> Cell:
    if stats.oldest_waiting is None:
        return ""
    more = "+" if stats.oldest_waiting_capped else ""
    text = duration_text(stats.oldest_waiting) + more
    return text if stats.has_worker else Styled(f"{text}, no worker", RED)


def _percentile(latency: "Latency | None", which: int) -> str:
    value: timedelta | None = getattr(latency, f"p{which}", None)
    return "" if value is None else duration_text(value)


def count_text(count: int, capped: bool) -> str:
    """A number that the server counts up to a limit."""
    return f"{count}+" if capped else str(count)


def type_row(job_type: "JobType") -> Sequence[Cell]:
    """A row of TYPES_HEADER."""
    return (
        job_type.type,
        str(job_type.live_workers),
        count_text(job_type.waiting, job_type.waiting_capped),
        _type_state(job_type),
    )


def _type_state(job_type: "JobType") -> Cell:
    if job_type.stopped:
        return Styled("stopped", YELLOW)
    if not job_type.live_workers:
        return Styled("no worker", RED)
    return Styled("running", GREEN) if job_type.accepted else Styled("not accepted", RED)


def worker_row(worker: "Worker", fleet: "Fleet", now: datetime) -> Sequence[Cell]:
    """A row of WORKERS_HEADER."""
    identity, report = worker.identity, worker.report
    return (
        identity.worker_id,
        _worker_state(worker, fleet),
        str(report.in_flight),
        str(report.completed_total),
        str(report.failed_total),
        from_now(worker.last_heartbeat_time, now),
        from_now(identity.start_time, now),
        identity.version,
        ", ".join(identity.types),
    )


def _worker_state(worker: "Worker", fleet: "Fleet") -> Cell:
    """A worker that is stopped by its name still reports that it consumes."""
    state = worker.report.state
    if state == "lost":
        return Styled(state, RED)
    if not fleet.consuming or worker.identity.name in fleet.stopped_workers:
        return Styled("stopped", YELLOW)
    return state


def stops_text(fleet: "Fleet | FleetChange") -> str:
    """What is stopped; "" if nothing is."""
    parts = []
    if not fleet.consuming:
        parts.append("all workers are stopped")
    if fleet.stopped_workers:
        parts.append(f"stopped workers: {', '.join(fleet.stopped_workers)}")
    if fleet.stopped_types:
        parts.append(f"stopped types: {', '.join(fleet.stopped_types)}")
    return "; ".join(parts)


def log_cells(entry: "LogEntry") -> Sequence[Cell]:
    """The beginning of a line of a log, before its text."""
    time = clock_text(entry.time)
    level = Styled(f"{entry.level.upper():<8}", LEVELS.get(entry.level, ""))
    logger = f"{entry.logger}: " if entry.logger else ""
    return (Styled(f"{time} [{entry.attempt}] ", DIM), level, Styled(f" {logger}", DIM))
