"""The `Lesson`: every number that the terminal, the page and the notebook show is computed here.

What depends on the controls is keyed by their values joined with dots, in the order that the field's
comment gives: "W1.8.mean.identity".
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cache, partial
from itertools import product
from typing import Any

import numpy as np

from lesson.inside import Inside, inside
from lesson.setting import (
    OUTPUTS,
    REDUCTIONS,
    SAMPLES,
    SIZES,
    TRAINING,
    Floats,
    Weight,
    all_digits,
    batch,
    forward_slope,
    gradient_by_hand,
    keeping,
    kept,
    keys,
    loss_of,
    network,
    outputs_of,
    slope,
)
from lesson.vanishing import CrossDerivatives, cross_derivatives
from manual_backprop import Parameters, average_over_parts, descend, forward, gradient, split
from manual_backprop.losses import LOSSES, divisor
from manual_backprop.training import initial_parameters
from properties.digits import PIXELS, SIDE, digit_labels

NUDGE = 0.1
STEPS = [10.0**-k for k in range(1, 14)]  # of the finite differences
PART = 32  # 1000 samples in parts of 32 leave a ragged part of 8
RATE, TRAINING_BATCH, EPOCHS, TRAINING_SEED, TEACHER_SEED = 0.5, 20, 20, 3, 99


@dataclass(frozen=True)
class Prediction:
    """What a nudge of the weight does: the change of each output of sample 1, (K,), and how many move."""

    changes: Floats
    moved: int


@dataclass(frozen=True)
class Tempting:
    """What each squared error of sample 1 does, (K,): when o₁ is nudged, and when the weight is."""

    by_output: Floats
    by_weight: Floats


@dataclass(frozen=True)
class Ledger:
    """What each cell contributes to ∂L/∂w, (n, K), its totals, and the loss's slope measured at STEPS."""

    cells: Floats
    by_sample: Floats  # (n,)
    by_output: Floats  # (K,)
    running: Floats  # (K,) the outputs added one after another
    total: float
    central: Floats
    forward: Floats


@dataclass(frozen=True)
class Average:
    """∂L_i/∂w of each sample alone, (n,); joined, form (1); of the whole batch, form (2).

    `difference` is the largest over all parameters, relative to the largest entry of form (2).
    `times_longer` is the length of the whole gradient in that of the mean over samples and outputs.
    """

    each: Floats
    one_by_one: float
    at_once: float
    difference: float
    length_one_by_one: float
    length_at_once: float
    times_longer: float
    direction: float  # its cosine with the gradient of the mean


@dataclass(frozen=True)
class Kept:
    """The derivative that the kept cells give, how many are dropped, and how many of those are not 0."""

    total: float
    dropped: int
    missed: int


@dataclass(frozen=True)
class Likeness:
    """The cosine with the right gradient and the length in that of the right one; NaN where undefined."""

    cosine: float
    length: float


@dataclass(frozen=True)
class Verdict:
    """The kept gradient beside the right one: as a whole, array by array, and by the columns of W₂."""

    whole: Likeness
    arrays: Mapping[str, Likeness]
    columns: Floats  # (K,) the distance in units of the right column's length
    right_columns: int
    wrong_sign: int  # of the weights of W₁ whose right derivative is not 0
    with_sign: int
    kept_gradient: Parameters
    right_gradient: Parameters


@dataclass(frozen=True)
class Run:
    """A training run: the loss of each output after 0, 1, ... epochs, (epochs + 1, K), and what it reads.

    `recognised` is the share of the digits that were not trained on; None for the teacher network.
    """

    losses: Floats
    recognised: float | None

    def summary(self) -> list[float]:
        """The loss before, at its lowest and after; and after, of output 1 and the mean of the others."""
        totals, last = self.losses.mean(axis=1), self.losses[-1]
        return [float(value) for value in (totals[0], totals.min(), totals[-1], last[0], last[1:].mean())]


@dataclass(frozen=True)
class Lesson:
    """All of it."""

    weights: Mapping[str, Weight]
    labels: Sequence[int]  # the digit of each sample
    images: Floats  # (samples, 8, 8)
    parameters: int
    predictions: Mapping[str, Prediction]  # weight.batch.output
    tempting: Mapping[str, Tempting]  # weight.batch.output
    ledgers: Mapping[str, Ledger]  # weight.batch.reduction.output
    averages: Mapping[str, Average]  # weight.batch.reduction.output
    kept: Mapping[str, Kept]  # weight.batch.keep.reduction.output
    verdicts: Mapping[str, Verdict]  # batch.keep.output
    ragged: Mapping[str, float]
    cross_derivatives: Sequence[CrossDerivatives]
    runs: Mapping[str, Mapping[str, Run]]  # data, then keep
    unseen: int  # digits that no run was trained on
    answers: Mapping[str, int]  # of the quiz
    inside: Mapping[str, Inside]  # "norm" and "head"
    expected_cosine: float  # of one output with all, were the outputs' gradients alike and at right angles


def as_json(lesson: Lesson) -> str:
    """The lesson's numbers as JSON: null where a number is not defined; whole gradients are left out."""
    return json.dumps(_plain(lesson), ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    """Only dicts, lists and finite numbers."""
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if is_dataclass(value):
        names = (field.name for field in fields(value) if not field.name.endswith("_gradient"))
        return {name: _plain(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, Weight | CrossDerivatives):
        return _plain(value._asdict())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def key(*values: str) -> str:
    """The values of some controls as one key."""
    return ".".join(values)


def states(*controls: str) -> list[tuple[str, ...]]:
    """Every combination of the controls' values."""
    return list(product(*(keys(control) for control in controls)))


def flat(arrays: Parameters) -> Floats:
    """All entries of a gradient in one row, (P,)."""
    return np.concatenate([array.ravel() for layer in arrays for array in layer if array is not None])


def likeness(suspect: Floats, right: Floats) -> Likeness:
    """How like two arrays of one shape are."""
    a, b = float(np.linalg.norm(suspect)), float(np.linalg.norm(right))
    if not b:
        return Likeness(np.nan, np.nan)
    return Likeness(float(np.vdot(suspect, right)) / (a * b) if a else np.nan, a / b)


def relative(slopes: Floats, value: float) -> Floats:
    """|slope - value| over the larger of the two; 0 where both are 0."""
    scale = np.maximum(np.abs(slopes), abs(value))
    return np.divide(np.abs(slopes - value), scale, out=np.zeros_like(slopes), where=scale > 0)


def example_weights() -> dict[str, Weight]:
    """The parameters that the lesson follows, all of one hidden unit.

    The weight of the hidden layer is the one with the largest derivative among those that the one-output
    rule moves the wrong way and whose pixel has ink in every digit of the batch.
    """
    x, y = batch()
    right, one_output = (
        gradient_by_hand(network(), x, y, kept(keep, SAMPLES), output="identity", reduction="mean")[0][0]
        for keep in ("all", "o1")
    )
    inked = (x > 0).all(axis=0) & (np.arange(SIZES[0]) < PIXELS)  # (128,)
    wrong_way = (right * one_output < 0) & inked[:, None]  # (128, 64)
    pixel, unit = np.unravel_index(np.argmax(np.abs(right) * wrong_way), right.shape)
    unit = int(unit)
    return {
        "W1": Weight(0, "W", (int(pixel), unit)),
        "b1": Weight(0, "b", (unit,)),
        "W2o1": Weight(1, "W", (unit, 0)),
        "W2o4": Weight(1, "W", (unit, 3)),
    }


def predict(weight: Weight, samples: int, output: str) -> Prediction:
    """Nudge the weight, and see which outputs move."""
    x, _ = batch(samples)
    before, after = (outputs_of(p, x, output) for p in (network(), weight.nudged(network(), NUDGE)))  # (n, K)
    return Prediction(changes=(after - before)[0], moved=int((after != before).any(axis=0).sum()))


def _tempting(ledger: Ledger, samples: int, output: str) -> Tempting:
    """From the ledger of plain sums, whose row 1 is ∂(o_j - y_j)²/∂w."""
    x, y = batch(samples)
    slopes = LOSSES["sse"].error(outputs_of(network(), x, output), y, "sum")[0]  # (K,)
    return Tempting(by_output=slopes * kept("o1", 1)[0], by_weight=ledger.cells[0])


def _cell_gradients(samples: int, reduction: str, output: str) -> list[Parameters]:
    """The gradient of each cell's term alone, row by row."""
    x, y = batch(samples)
    masks = np.eye(samples * OUTPUTS).reshape(-1, samples, OUTPUTS)
    return [gradient_by_hand(network(), x, y, mask, output=output, reduction=reduction) for mask in masks]


def _ledger(weight: Weight, cells: Sequence[Parameters], samples: int, reduction: str, output: str) -> Ledger:
    x, y = batch(samples)
    values = np.array([weight.of(cell) for cell in cells]).reshape(samples, OUTPUTS)
    loss = partial(loss_of, x=x, y=y, output=output, reduction=reduction)
    return Ledger(
        cells=values,
        by_sample=values.sum(axis=1),
        by_output=values.sum(axis=0),
        running=values.sum(axis=0).cumsum(),
        total=float(values.sum()),
        central=np.array([slope(loss, network(), weight, h) for h in STEPS]),
        forward=np.array([forward_slope(loss, network(), weight, h) for h in STEPS]),
    )


def _averages(weights: Mapping[str, Weight], samples: int, reduction: str, output: str) -> dict[str, Average]:
    x, y = batch(samples)
    everything = np.ones((1, OUTPUTS))
    by_hand = partial(gradient_by_hand, network(), mask=everything, output=output)
    each = [by_hand(x=x[i : i + 1], y=y[i : i + 1], reduction=reduction) for i in range(samples)]
    joined = sum(flat(g) for g in each) / divisor(samples, REDUCTIONS[reduction][1])  # (P,)
    whole = by_hand(x=x, y=y, reduction=reduction)
    mean = by_hand(x=x, y=y, reduction="mean")
    lengths = [float(np.linalg.norm(v)) for v in (joined, flat(whole), flat(mean))]
    largest = np.abs(flat(whole)).max()
    difference = np.abs(joined - flat(whole)).max()
    return {
        name: Average(
            each=np.array([weight.of(g) for g in each]),
            one_by_one=sum(weight.of(g) for g in each) / divisor(samples, REDUCTIONS[reduction][1]),
            at_once=weight.of(whole),
            difference=float(difference / largest) if largest else float(difference),
            length_one_by_one=lengths[0],
            length_at_once=lengths[1],
            times_longer=lengths[1] / lengths[2] if lengths[2] else np.nan,
            direction=likeness(flat(whole), flat(mean)).cosine,
        )
        for name, weight in weights.items()
    }


def _verdict(samples: int, keep: str, output: str) -> Verdict:
    x, y = batch(samples)
    suspect, right = (
        gradient_by_hand(network(), x, y, kept(mask, samples), output=output, reduction="mean")
        for mask in (keep, "all")
    )
    names = ("W1", "b1", "W2", "b2")
    arrays = [array for layer in suspect for array in layer], [array for layer in right for array in layer]
    W1, W2 = (suspect[0][0], right[0][0]), (suspect[1][0], right[1][0])
    lengths = np.linalg.norm(W2[1], axis=0)  # (K,)
    distances = np.linalg.norm(W2[0] - W2[1], axis=0)  # (K,)
    return Verdict(
        whole=likeness(flat(suspect), flat(right)),
        arrays={
            name: likeness(a, b)
            for name, a, b in zip(names, *arrays, strict=True)
            if a is not None and b is not None
        },
        columns=np.divide(distances, lengths, out=distances, where=lengths > 0),
        right_columns=int((W2[0] == W2[1]).all(axis=0).sum()),
        wrong_sign=int((W1[0] * W1[1] < 0).sum()),
        with_sign=int((W1[1] != 0).sum()),
        kept_gradient=suspect,
        right_gradient=right,
    )


def _kept(weight: Weight, ledger: Ledger, keep: str, kept_gradient: Parameters) -> Kept:
    dropped = kept(keep, len(ledger.cells)) == 0
    return Kept(
        total=weight.of(kept_gradient),
        dropped=int(dropped.sum()),
        missed=int((dropped & (ledger.cells != 0)).sum()),
    )


def _ragged() -> dict[str, float]:
    """Form (1) by parts, with and without their sizes as weights, beside form (2)."""
    inputs, targets = all_digits()
    x, y = inputs[:TRAINING], targets[:TRAINING]
    whole = flat(gradient(network(), x, y))
    parts = split(x, y, PART)
    by_size, equal = (
        np.abs(flat(average_over_parts(network(), parts, by_size=choice)) - whole).max() / np.abs(whole).max()
        for choice in (True, False)
    )
    sizes = [len(part) for part, _ in parts]
    return {
        "samples": TRAINING,
        "part": sizes[0],
        "last": sizes[-1],
        "parts": len(parts),
        "by_size": float(by_size),
        "equal": float(equal),
        "too_heavy": (1 / sizes[-1]) / (1 / sizes[0]),
    }


def _runs() -> dict[str, dict[str, Run]]:
    inputs, targets = all_digits()
    vectors = np.random.default_rng(TEACHER_SEED).standard_normal((TRAINING, SIZES[0]))  # (1000, 128)
    answers = forward(initial_parameters(SIZES, TEACHER_SEED), vectors)[1][-1]  # (1000, 10)
    data = {"digits": (inputs[:TRAINING], targets[:TRAINING]), "teacher": (vectors, answers)}
    return {
        name: {keep: _run(x, y, keep, recognise=name == "digits") for keep in keys("keep")}
        for name, (x, y) in data.items()
    }


def _run(x: Floats, y: Floats, keep: str, *, recognise: bool) -> Run:
    def losses(parameters: Parameters) -> Floats:
        return ((forward(parameters, x)[1][-1] - y) ** 2).mean(axis=0)  # (K,)

    rule = keeping(kept(keep, TRAINING_BATCH))
    epochs = list(
        descend(network(), x, y, rate=RATE, size=TRAINING_BATCH, epochs=EPOCHS, seed=TRAINING_SEED, by=rule)
    )
    unseen, labels = all_digits()[0][TRAINING:], digit_labels()[TRAINING:]
    right = forward(epochs[-1], unseen)[1][-1].argmax(axis=1) == labels
    return Run(
        losses=np.array([losses(parameters) for parameters in [network(), *epochs]]),
        recognised=float(right.mean()) if recognise else None,
    )


def _answers(one_output: Verdict, ragged: Mapping[str, float], through_softmax: Prediction) -> dict[str, int]:
    """What the quiz asks for."""
    (dW, db), (right_dW, right_db) = one_output.kept_gradient[1], one_output.right_gradient[1]
    right = np.append((dW == right_dW).ravel(), db == right_db)  # the last layer's
    return {
        "last_layer": right.size,
        "still_right": int(right.sum()),
        "put_to_zero": right.size - int(right.sum()),
        "too_heavy": round(ragged["too_heavy"]),
        "moved_by_softmax": through_softmax.moved,
    }


@cache
def build() -> Lesson:
    """Compute the lesson: the same numbers every time."""
    weights = example_weights()
    inputs, _ = batch()
    predictions = {
        key(name, n, output): predict(weights[name], int(n), output)
        for name, n, output in states("weight", "batch", "output")
    }
    ledgers: dict[str, Ledger] = {}
    averages: dict[str, Average] = {}
    kept_totals: dict[str, Kept] = {}
    for n, reduction, output in states("batch", "reduction", "output"):
        cells = _cell_gradients(int(n), reduction, output)
        for name, average in _averages(weights, int(n), reduction, output).items():
            place = key(name, n, reduction, output)
            averages[place] = average
            ledgers[place] = _ledger(weights[name], cells, int(n), reduction, output)
        for keep in keys("keep"):
            x, y = batch(int(n))
            suspect = gradient_by_hand(
                network(), x, y, kept(keep, int(n)), output=output, reduction=reduction
            )
            for name, weight in weights.items():
                ledger = ledgers[key(name, n, reduction, output)]
                kept_totals[key(name, n, keep, reduction, output)] = _kept(weight, ledger, keep, suspect)
    verdicts = {
        key(n, keep, output): _verdict(int(n), keep, output)
        for n, keep, output in states("batch", "keep", "output")
    }
    ragged = _ragged()
    return Lesson(
        weights=weights,
        labels=[int(label) for label in digit_labels()[:SAMPLES]],
        images=inputs[:, :PIXELS].reshape(-1, SIDE, SIDE),
        parameters=flat(network()).size,
        predictions=predictions,
        tempting={
            key(name, n, output): _tempting(ledgers[key(name, n, "sum", output)], int(n), output)
            for name, n, output in states("weight", "batch", "output")
        },
        ledgers=ledgers,
        averages=averages,
        kept=kept_totals,
        verdicts=verdicts,
        ragged=ragged,
        cross_derivatives=cross_derivatives(),
        runs=_runs(),
        unseen=len(all_digits()[0]) - TRAINING,
        answers=_answers(verdicts["8.o1.identity"], ragged, predictions["W2o4.8.softmax"]),
        inside=inside(),
        expected_cosine=OUTPUTS**-0.5,
    )
