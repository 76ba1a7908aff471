"""Measures this system beside others on this machine.

    python -m bench           the comparison, with the targets and whether they are met
    python -m bench scaling   how cost depends on how many jobs are stored, and on how many wait
    python -m bench profile   where the CPU time of API server and worker goes

How many jobs, rounds and so on are settings BENCH_*, see docs/reference/performance.md.
"""

import sys

from bench.compare import compare
from bench.errors import BenchFailed
from bench.load.rest_load import wrk
from bench.profile import profile
from bench.scaling import scaling
from bench.settings import BenchSettings
from local_stack.part import StackError

COMMANDS = {"compare": compare, "scaling": scaling, "profile": profile}


def main(arguments: list[str]) -> int:
    name = " ".join(arguments) or "compare"
    if name not in COMMANDS:
        tell(__doc__ or "")
        return 2
    try:
        wrk()
        COMMANDS[name](BenchSettings(), tell)
    except (StackError, BenchFailed) as error:
        sys.stderr.write(f"\n{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
