"""What a diagnosis says. It travels between processes, so this module imports nothing that takes long."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong with a gradient, as far as anybody can tell.

    Attributes:
        mistakes: names in `MISTAKES`; empty where none is known, two where they explain it together.
        explanation: what it is, where `MISTAKES` has no name for it; empty where nobody knows.
        evidence: on how many cases this was seen.
        contributions: how often each sample and output is counted, (N, K), on the case given, or on a fresh
            one where some cells of the case given contribute nothing; None where it means nothing.
        where: which arrays, how many entries, which ratio.
        place: the same without a ratio, which may give the mistake away.
        note: what else is known.
        sentence: what to remember.
        hint: where to look, without the answer.
        answer: what to change.
        of_fresh_case: whether the contributions are those of another case than the smallest.
    """

    mistakes: tuple[str, ...]
    explanation: str
    evidence: str
    contributions: list[list[float]] | None
    where: str
    note: str
    sentence: str
    hint: str
    answer: str
    place: str = ""
    of_fresh_case: bool = False
