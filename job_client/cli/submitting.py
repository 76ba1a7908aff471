"""Submits the jobs of a file, a line each, and waits for them if asked to."""

from collections import Counter, deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer

from job_client.cli import inputs
from job_client.cli.bulk import jobs_text
from job_client.cli.ending import reasons_text
from job_client.cli.exits import DONE, FAILED, INTERRUPTED, USAGE, of_error, of_job
from job_client.cli.following import counts_text, follow_all
from job_client.cli.output import Output

if TYPE_CHECKING:
    from job_client.create_many import Outcome
    from job_client.job import Job
    from job_client.new_job import NewJob
    from job_client.sync_client import JobClient

SHOWN_REFUSALS = 10
"""Refused lines that are shown; the others are counted."""


class JobLines:
    """The jobs of a file. `common`: arguments of NewJob that hold for all.

    A line that cannot be read ends it: `problem` says why.
    """

    def __init__(self, file: str, job_type: str | None, common: dict[str, Any]) -> None:
        self._file = file
        self._type = job_type
        self._common = common
        self._numbers: deque[int] = deque()
        self.problem: inputs.WrongInput | None = None

    @property
    def name(self) -> str:
        return "standard input" if self._file == inputs.STDIN else self._file

    def __iter__(self) -> "Iterator[NewJob]":
        from job_client.new_job import NewJob  # noqa: PLC0415 - `--help` needs no client

        try:
            with inputs.opened(self._file) as source:
                for number, line in inputs.read_lines(source, self.name):
                    fields = inputs.job_fields(line, self._type, f"{self.name}, line {number},")
                    labels = {**self._common.get("labels", {}), **fields.get("labels", {})}
                    self._numbers.append(number)
                    yield NewJob(**{**self._common, **fields, "labels": labels})
        except inputs.WrongInput as problem:
            self.problem = problem

    def next_number(self) -> int:
        """The line of the oldest job that was read and not asked for yet. Outcomes come in this order."""
        return self._numbers.popleft()


class Submission:
    """What has become of the lines so far. Their number may be endless, so ids are kept only if asked for."""

    def __init__(self, lines: JobLines, output: Output, *, keeps_ids: bool) -> None:
        self._lines = lines
        self._output = output
        self._keeps_ids = keeps_ids
        self.ids: list[str] = []
        self.submitted = 0
        self.refused = 0
        self.status = DONE

    def outcomes(self, client: "JobClient") -> Iterator[dict[str, Any]]:
        """What programs see of each line: its id, or its error."""
        try:
            with self._output.bar("submitting", None) as bar:
                for outcome in client.submit_many(self._lines):
                    number = self._lines.next_number()
                    if outcome.error is None:
                        self.submitted += 1
                        if self._keeps_ids:
                            self.ids.append(outcome.id)
                        yield {"line": number, "id": outcome.id}
                    else:
                        yield self._refuse(number, outcome)
                    bar.show(self.submitted, f"{self.submitted} submitted")
        except KeyboardInterrupt:
            self._output.say(f"At least {jobs_text(str(self.submitted))} submitted. To see them: jobctl list")
            raise typer.Exit(INTERRUPTED) from None
        if self._lines.problem is not None:
            self._output.say(f"{self._lines.problem}; the lines before it are submitted")
            self.status = USAGE
        elif self.refused > SHOWN_REFUSALS:
            self._output.say(f"{self.refused - SHOWN_REFUSALS} more lines are refused")

    def _refuse(self, number: int, outcome: "Outcome") -> dict[str, Any]:
        status, sentence = of_error(outcome.error) if outcome.error is not None else (FAILED, "")
        self.status = self.status or status
        self.refused += 1
        if self.refused <= SHOWN_REFUSALS:
            self._output.say(f"{self._lines.name}, line {number}: {sentence}")
        reason = outcome.error.reason if outcome.error is not None else ""
        return {"line": number, "reason": reason, "error": sentence}


def submit_lines(
    client: "JobClient", lines: JobLines, output: Output, *, wait: bool, timeout: float | None
) -> int:
    """The exit status."""
    submission = Submission(lines, output, keeps_ids=wait)
    if not wait:
        _show_outcomes(submission.outcomes(client), output)
        if output.is_for_people:
            output.done(f"{jobs_text(str(submission.submitted))} submitted")
        return submission.status
    for _ in submission.outcomes(client):
        pass
    output.note(f"{jobs_text(str(submission.submitted))} submitted")
    return max(submission.status, _wait(client, submission.ids, output, timeout))


def _show_outcomes(outcomes: Iterator[dict[str, Any]], output: Output) -> None:
    if not output.is_for_people:
        output.values((), outcomes, lambda _line: ())
        return
    for line in outcomes:
        # At a terminal their number says more.
        if "id" in line and not output.is_terminal:
            output.line(line["id"])


def _wait(client: "JobClient", ids: list[str], output: Output, timeout: float | None) -> int:
    statuses: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    worst = DONE

    def counted() -> "Iterator[Job]":
        nonlocal worst
        for job in follow_all(client, ids, output, timeout=timeout):
            statuses[job.status.value] += 1
            worst = max(worst, of_job(job))
            if job.error is not None:
                reasons[job.error.reason] += 1
            yield job

    if output.is_for_people:
        for _ in counted():
            pass
        output.line(counts_text(statuses) or "no jobs")
        if reasons:
            output.line(f"reasons: {reasons_text(reasons)}; to see them: jobctl list --status failed")
    else:
        output.values((), counted(), lambda _job: ())
    return worst
