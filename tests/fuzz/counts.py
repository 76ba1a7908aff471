"""What was sent, and what became of it."""

from collections import Counter
from collections.abc import Sequence

from tests.fuzz.calls import Call, NativeCall
from tests.fuzz.sending import Answer

ACCEPTED = ("OK", "200")


class Counts:
    """Adds up."""

    def __init__(self) -> None:
        self._outcomes: dict[str, Counter[str]] = {}
        self._different: set[int] = set()

    def add(self, calls: Sequence[Call], answers: Sequence[Answer]) -> None:
        for call, answer in zip(calls, answers, strict=True):
            transport = "gRPC" if isinstance(call, NativeCall) else "REST"
            name = f"{transport} {call.method.name if call.method else 'somewhere'}"
            self._outcomes.setdefault(name, Counter())[answer.outcome] += 1
            self._different.add(hash(call))

    @property
    def inputs(self) -> int:
        return sum(outcomes.total() for outcomes in self._outcomes.values())

    @property
    def accepted(self) -> int:
        return sum(outcomes[word] for outcomes in self._outcomes.values() for word in ACCEPTED)

    def lines(self) -> list[str]:
        """For people."""
        return [
            f"{self.inputs} inputs, {len(self._different)} of them different, {self.accepted} accepted",
            *(
                f"  {name:<24} {', '.join(f'{word} {number}' for word, number in outcomes.most_common())}"
                for name, outcomes in sorted(self._outcomes.items())
            ),
        ]
