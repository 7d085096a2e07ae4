"""A case with a subject's answer to it, what would be right, and how near two arrays are that are the same."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import combinations, permutations, product
from math import pi, prod, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from properties.comparison import compare
from properties.search import Violation

Array = NDArray[Any]
Answer = Mapping[str, Array]
"""Gradients by name: dW, db."""


@dataclass(frozen=True)
class Trial:
    """A case and what the subject answered: `answer`, or, where it breaks the contract, its `fault`."""

    case: Any
    answer: Answer
    fault: Violation | None = None

    @cached_property
    def right(self) -> Answer:
        """The right gradients."""
        raise NotImplementedError

    @cached_property
    def error(self) -> Answer:
        """How far rounding, or an open kink, may carry each entry."""
        raise NotImplementedError

    @property
    def unit(self) -> float:
        """What the subject's numbers are rounded by, relative to them."""
        return UNIT

    @property
    def numbers(self) -> Mapping[str, float]:
        """The sizes of axes and the real options that a factor may be made of."""
        raise NotImplementedError

    @cached_property
    def wrong(self) -> dict[str, int]:
        """How many entries of each array are wrong, for those that have any."""
        found = compare(self.answer, self.right, self.error)
        return {name: count for name, count in found.wrong.items() if count}

    def off(self, name: str) -> Array:
        """Which entries of an array are wrong."""
        given, right = self.answer[name], self.right[name]
        with np.errstate(all="ignore"):
            return ~((abs(given - right) <= self.error[name]) | (given == right))

    @property
    def fails(self) -> bool:
        """Whether the answer is wrong, or none."""
        return self.fault is not None or bool(self.wrong)

    @cached_property
    def _largest(self) -> dict[str, tuple[float, float]]:
        """The rounding of an array, and the same relative to its largest entry.

        It is relative to that of another array where all entries are 0.
        """
        errors = {name: float(error.max(initial=0)) for name, error in self.error.items()}
        sizes = {name: float(abs(right).max(initial=0)) for name, right in self.right.items()}
        known = {name: errors[name] / size for name, size in sizes.items() if size}
        return {name: (errors[name], known.get(name, max(known.values(), default=0.0))) for name in sizes}

    def reach(self, name: str, predicted: Array) -> float:
        """How far rounding may part two programs that compute the same wrong array.

        A wrong array may be larger than the right one, and its rounding grows likewise; both err.
        """
        error, relative = self._largest[name]
        return 2 * (error + relative * float(abs(predicted).max(initial=0)))

    def agree(self, name: str, given: Array, predicted: Array) -> bool:
        """Whether two arrays are the same but for rounding; they are not where one has another shape, or NaN."""
        if given.shape != predicted.shape or not np.isfinite(predicted).all():
            return False
        return bool((abs(given - predicted) <= self.reach(name, predicted)).all())

    def is_explained(self, name: str, predicted: Array) -> bool:
        """Whether the subject's array is the predicted one, but for rounding; what is right explains no wrong one.

        Nor does what is 0 but for rounding explain a wrong array of zeros: nobody's sums cancel to the last digit.
        """
        if not self.agree(name, self.answer[name], predicted):
            return False
        if name not in self.wrong:
            return True
        is_right = bool((abs(predicted - self.right[name]) <= self.error[name]).all())
        return not is_right and (bool(self.answer[name].any()) or not predicted.any())

    def explained(self, predicted: Answer | None) -> frozenset[str]:
        """The arrays that are the predicted ones."""
        found = predicted or {}
        return frozenset(
            name for name in self.right if name in found and self.is_explained(name, found[name])
        )


def ratio(trial: Trial, name: str, given: Array, other: Array) -> float | None:
    """r with given = r · other but for rounding; None where there is none."""
    largest = float(abs(other).max(initial=0))
    if given.shape != other.shape or not 0 < largest < np.inf or not np.isfinite(given).all():
        return None
    unit = other / largest  # whose squares neither overflow nor vanish
    r = float((given * unit).sum() / (unit * unit).sum()) / largest
    return r if np.isfinite(r) and trial.agree(name, given, r * other) else None


def common_ratio(trial: Trial, given: Answer, other: Answer) -> float | None:
    """The one r with given = r · other in all arrays that are not 0; None where there is none."""
    found = list[float]()
    for name in (name for name in trial.right if other[name].any() or given[name].any()):
        r = ratio(trial, name, given[name], other[name])
        if r is None or (found and abs(r - found[0]) > sqrt(trial.unit) * abs(found[0])):
            return None
        found.append(r)
    return found[0] if found else None


def sketch(matrix: Array) -> Array:
    """Fewer rows, (rows, columns), with the same linear relations between columns: sums of rows with random signs.

    A count sketch keeps all norms of the columns' span, nearly, where it has a few times as many rows as columns:
    Clarkson and Woodruff, "Low rank approximation and regression in input sparsity time", 2013.
    """
    rows, columns = matrix.shape
    kept = max(KEPT_ROWS, 4 * columns)
    if rows <= 2 * kept:
        return matrix
    rng = np.random.default_rng(0)
    signed = rng.choice((-1.0, 1.0), rows)[:, None] * matrix[rng.permutation(rows)]
    padded = np.zeros((-(-rows // kept) * kept, columns))
    padded[:rows] = signed
    return padded.reshape(-1, kept, columns).sum(axis=0)


KEPT_ROWS = 256
"""At least so many rows are kept."""

UNIT = 2.0**-53
"""What a float64 is rounded by, relative to it."""


# --- what a factor is called ----------------------------------------------------------------------------------

NUMBERS: Mapping[str, float] = {
    "0": 0, "−1": -1, "2": 2, "½": 0.5, "−2": -2, "−½": -0.5, "3": 3, "4": 4, "1/3": 1 / 3, "1/4": 0.25,
    "√2": sqrt(2), "1/√2": sqrt(0.5), "π": pi, "1/π": 1 / pi, "2π": 2 * pi, "1/(2π)": 0.5 / pi,
    "√(2π)": sqrt(2 * pi), "1/√(2π)": sqrt(0.5 / pi),
}  # fmt: skip
_POWERS = (
    ("{}", 1.0, 1.2), ("1/{}", -1.0, 1.2), ("√{}", 0.5, 1.5), ("1/√{}", -0.5, 1.5),
    ("{}²", 2.0, 2.0), ("1/{}²", -2.0, 2.0),
)  # fmt: skip
_MULTIPLES = (("", 1.0, 0.0), ("2 ", 2.0, 0.8), ("½ ", 0.5, 0.8), ("−", -1.0, 0.8))


def factors(numbers: Mapping[str, float]) -> Mapping[str, tuple[float, float]]:
    """What a factor may be called, its value and its rank, the simplest first: numbers, sizes, options, two sizes."""
    return _factors(tuple((name, one, isinstance(one, int)) for name, one in numbers.items()))


@lru_cache(256)  # a search asks for those of a few cases, thousands of times
def _factors(numbers: Sequence[tuple[str, float, bool]]) -> Mapping[str, tuple[float, float]]:
    named = {name: one for name, one, _ in numbers}
    sizes = {name: one for name, one, is_whole in numbers if is_whole}
    return {said: (value, rank) for said, value, rank in _every(named, sizes)}


def _every(numbers: Mapping[str, float], sizes: Mapping[str, float]) -> Iterator[tuple[str, float, float]]:
    yield from ((said, value, 1.2 if value in {0, -1, 2, 0.5} else 2.3) for said, value in NUMBERS.items())
    options = {said for name in numbers if name not in sizes for said in (name, f"(1 − {name})")}
    atoms = {  # with what makes them less likely
        **{name: (one, 0.0) for name, one in numbers.items()},
        **{f"({name} − 1)": (n - 1, 0.6) for name, n in sizes.items()},
        **{f"(1 − {name})": (1 - one, 0.6) for name, one in numbers.items() if name not in sizes},
        **{f"({a} {b})": (n * m, 0.6) for (a, n), (b, m) in combinations(sizes.items(), 2)},
        **{f"({a}/{b})": (n / m, 0.6) for (a, n), (b, m) in permutations(sizes.items(), 2)},
        **{f"({' '.join(some)})": (prod(sizes[one] for one in some), 0.9) for some in combinations(sizes, 3)},
    }
    for (times, k, more), (text, power, rank), (name, (one, less)) in product(
        _MULTIPLES, _POWERS, atoms.items()
    ):
        if one > 0 and (name not in options or abs(power) != 0.5):
            yield times + text.format(name), k * one**power, rank + more + less


def named_factor(
    values: Sequence[float], trials: Sequence[Trial], within: float | None = None
) -> tuple[str, float] | None:
    """The simplest name of a factor that has these values on these trials, and its rank; None for no single one.

    They agree to half of the digits of an answer, or as it is said.
    """
    within = sqrt(trials[0].unit) if within is None else within
    tables = [factors(one.numbers) for one in trials]
    found = {
        said: rank
        for said, (_, rank) in tables[0].items()
        if all(
            said in table and abs(table[said][0] - value) <= within * max(1, abs(value))
            for table, value in zip(tables, values, strict=True)
        )
    }
    if found:
        said = min(found, key=lambda said: found[said])
        return said, found[said]
    if max(values) - min(values) <= within * max(1, abs(values[0])):
        number = written(values[0])
        return f"{number:.6g}" if f"{number:.6g}" != "1" else f"{number:.12g}", 3.2
    return None


SHARES = {"½": "half of", "2": "twice", "−1": "minus", "1/4": "a quarter of"}


def said_of(factor: str) -> str:
    """`half of`, `n times`."""
    return SHARES.get(factor, f"{factor} times")


def as_named(called: str, fitted: float) -> Callable[[Trial], float]:
    """The factor of this name at each trial; one number is that which was fitted, as somebody wrote it."""
    if any(letter.isalpha() for letter in called):
        return lambda trial: value_of(called, trial.numbers)
    number = written(fitted)
    return lambda trial: number


def value_of(said: str, numbers: Mapping[str, float]) -> float:
    """The value of a factor of this name; NaN where a size or an option is missing."""
    if said in (known := factors(numbers)):
        return known[said][0]
    try:
        return float(said)
    except ValueError:
        return np.nan


def written(number: float) -> float:
    """The number of six digits that somebody wrote, where a fitted one is so near to it that it is no chance."""
    near = float(f"{number:.6g}")
    return near if abs(near - number) <= abs(number) * NEAT else number


def shorter(number: float) -> Iterator[float]:
    """A number with one digit, with two, and so on."""
    return (float(f"{number:.{digits}g}") for digits in range(1, DIGITS))


DIGITS = 12
"""Of a number that somebody wrote."""
NEAT = 2.0**-26
"""The sixth digit leaves a relative difference of up to 5e-6: one in 300 numbers is as near to its neighbour."""


# --- what equal calls show --------------------------------------------------------------------------------------


def of_state(ask: Callable[[], Trial | None]) -> tuple[str, str]:
    """What equal calls show, as (mistake, sentence): both empty where the answers are the same.

    Each call to a function that adds to what was there before is off by one more right gradient.
    """
    trials = [ask() for _ in range(3)]
    answers = [one for one in trials if one is not None and one.fault is None]
    if len(answers) < len(trials):
        return "", ""
    first, *later = answers
    names = list(first.right)
    if all(first.agree(name, one.answer[name], first.answer[name]) for one in later for name in names):
        return "", ""
    steps = list(zip(answers, later, strict=False))
    grown = [name for name in names if all(_grew(old, new, name) for old, new in steps)]
    if grown:
        which = "" if grown == names else f" in {', '.join(grown)}"
        told = f"each of {len(trials)} equal calls adds the right gradient to the answer before{which}"
        return "gradients_accumulated", told
    kept = [
        r
        for old, new in steps
        for name in names
        if (r := ratio(new, name, new.answer[name] - new.right[name], old.answer[name])) is not None
    ]
    if len(kept) == len(steps) * len(names) and max(kept) - min(kept) < max(kept) / 2**20:
        return "", f"each answer holds {max(kept):.3g} of the one before, as momentum does"
    return "", "equal calls give different answers"


def _grew(old: Trial, new: Trial, name: str) -> bool:
    """Whether an array has grown by the right one, but for the rounding of what has come together in it."""
    grown = new.answer[name] - old.answer[name]
    return bool(
        (abs(grown - new.right[name]) <= new.reach(name, abs(new.answer[name]) + abs(old.answer[name]))).all()
    )
