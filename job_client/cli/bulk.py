"""Changes many jobs: first a dry run and a question, then the change with its progress."""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import typer

from job_client.cli.exits import DONE, FAILED, INTERRUPTED
from job_client.cli.fleet_views import count_text
from job_client.cli.output import Output

if TYPE_CHECKING:
    from job_client.reports import Operation
    from job_client.sync_client import JobClient


class Start(Protocol):
    """Starts the change, or only counts what it would change."""

    def __call__(self, *, dry_run: bool) -> "Operation": ...


def change_many(
    client: "JobClient", output: Output, start: Start, verbs: tuple[str, str], *, yes: bool, dry_run: bool
) -> int:
    """The exit status. `verbs`: what is done, such as `retry` and `retried`."""
    verb, done = verbs
    plan = start(dry_run=True)
    count = count_text(plan.matched, plan.matched_capped)
    if dry_run or not plan.matched:
        _show_plan(output, plan, f"would {verb} {jobs_text(count)}" if plan.matched else "no job matches")
        return DONE
    if not yes:
        ask(f"This will {verb} {jobs_text(count)}. Go on?")
    operation = _follow(client, output, start(dry_run=False), done)
    if output.is_for_people:
        output.done(f"{operation.changed} of {operation.matched} jobs {done}")
        _show_refusals(output, operation)
    else:
        output.value(operation)
    if operation.state != "finished":
        output.say(f"The operation ended early: it is {operation.state}")
    return DONE if operation.state == "finished" and not operation.refused else FAILED


def jobs_text(count: str) -> str:
    return "1 job" if count == "1" else f"{count} jobs"


def ask(question: str) -> None:
    """Raises typer.Exit if the answer is no, and a usage error if there is nobody to ask."""
    if not sys.stdin.isatty():
        raise typer.BadParameter("say --yes, because nobody can be asked here", param_hint="--yes")
    if not typer.confirm(question, err=True):
        raise typer.Exit(FAILED)


def _show_plan(output: Output, plan: "Operation", text: str) -> None:
    if output.is_for_people:
        output.line(text)
    else:
        output.value(plan)


def _follow(client: "JobClient", output: Output, operation: "Operation", done: str) -> "Operation":
    """The operation at its end."""
    if operation.has_ended:
        return operation
    with _leaving_running(output, operation), output.bar(done, operation.matched or None) as bar:
        for state in client.watch_operation(operation.id):
            operation, handled = state, state.changed + state.refused
            bar.show(handled, f"{handled} of {state.matched} {done}", state.matched or None)
    return operation


@contextmanager
def _leaving_running(output: Output, operation: "Operation") -> Iterator[None]:
    """At Ctrl-C exit. Say then, and after an error, that the operation goes on."""
    try:
        yield
    except (KeyboardInterrupt, Exception) as error:
        output.say(f"Operation {operation.id} goes on in the server")
        if isinstance(error, KeyboardInterrupt):
            raise typer.Exit(INTERRUPTED) from None
        raise


def _show_refusals(output: Output, operation: "Operation") -> None:
    if not operation.refused:
        return
    reasons = Counter(each.reason for each in operation.refusals)
    listed = ", ".join(f"{number} {reason}" for reason, number in reasons.most_common())
    output.say(f"{jobs_text(str(operation.refused))} refused: {listed}")
