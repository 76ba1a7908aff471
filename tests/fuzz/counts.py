"""Counts the inputs and their outcomes."""

from collections import Counter
from collections.abc import Sequence

from tests.fuzz.calls import METHODS, Call, NativeCall
from tests.fuzz.routes import ROUTES
from tests.fuzz.sending import Answer

GRPC, REST = "gRPC", "REST"
ACCEPTED = ("OK", "200", "201")


class Counts:
    def __init__(self) -> None:
        self._outcomes: dict[str, Counter[str]] = {}
        self._different: set[int] = set()

    def add(self, calls: Sequence[Call], answers: Sequence[Answer]) -> None:
        for call, answer in zip(calls, answers, strict=True):
            name = call.method.name if call.method else "no method"
            transport = GRPC if isinstance(call, NativeCall) else REST
            self._outcomes.setdefault(f"{transport} {name}", Counter())[answer.outcome] += 1
            self._different.add(hash(call))

    def knows(self, call: Call) -> bool:
        """Whether the same call was sent before, without a finding."""
        return hash(call) in self._different

    @property
    def inputs(self) -> int:
        return sum(outcomes.total() for outcomes in self._outcomes.values())

    @property
    def accepted(self) -> int:
        return sum(map(_accepted, self._outcomes.values()))

    def one_sided(self) -> list[str]:
        """The methods that were never accepted, or never refused. Their inputs are too uniform."""
        names = [f"{GRPC} {method.name}" for method in METHODS]
        names += [f"{REST} {route.method.name}" for route in ROUTES]
        return [
            name
            for name in names
            for outcomes in [self._outcomes.get(name, Counter())]
            if not 0 < _accepted(outcomes) < outcomes.total()
        ]

    def lines(self) -> list[str]:
        return [
            f"{self.inputs} inputs, {len(self._different)} of them different, {self.accepted} accepted",
            *(f"  {name:<24} {_shown(outcomes)}" for name, outcomes in sorted(self._outcomes.items())),
        ]


def _shown(outcomes: Counter[str]) -> str:
    return ", ".join(f"{outcome} {number}" for outcome, number in outcomes.most_common())


def _accepted(outcomes: Counter[str]) -> int:
    return sum(outcomes[outcome] for outcome in ACCEPTED)
