"""Compares this system with others on this machine.

    python -m bench           the comparison, and which targets are met
    python -m bench scaling   how the cost changes with the number of stored and of waiting jobs
    python -m bench waiting   what calls that wait and watch cost the others
    python -m bench hops      when a job reaches each hand-over on its way
    python -m bench profile   where the API server and the worker spend their CPU time

The numbers of jobs, rounds and so on are settings BENCH_*; see docs/reference/performance.md.
"""

import sys

from bench.compare import compare
from bench.errors import BenchFailed
from bench.hops.command import hops
from bench.load.rest_load import wrk
from bench.profile import profile
from bench.scaling import scaling
from bench.settings import BenchSettings
from bench.waiting import waiting
from local_stack.part import StackError

COMMANDS = {"compare": compare, "scaling": scaling, "waiting": waiting, "hops": hops, "profile": profile}


def main(arguments: list[str]) -> int:
    name = " ".join(arguments) or "compare"
    if name not in COMMANDS:
        show(__doc__ or "")
        return 2
    try:
        wrk()
        COMMANDS[name](BenchSettings(), show)
    except (StackError, BenchFailed) as error:
        sys.stderr.write(f"\n{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def show(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
