"""Of wrong backward passes of operations, how many get the wrong step named, and how many a name by chance.

- *the catalogue*: the pages of `manual_backprop/operations` with one step as people write it wrongly;
- *other operations*: `benchmarks/wrong_operations.py`;
- *two at once*: pairs of the catalogue's mistakes in one page;
- *no single step*: right gradients spoilt by what is no edit of anything, so that every name is by chance.

None was made by editing a program. "Named" is equal in every gradient on all cases: four or five, of three shapes, and
one with other real options where there are any. Seconds are of the processor.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from statistics import median
from time import process_time
from types import ModuleType
from typing import Any

import click
import numpy as np

from benchmarks.report import Table, json_option, show
from benchmarks.wrong_operations import WRONG
from manual_backprop.mistakes.operations import OPERATION_MISTAKES, Mistake, passes
from manual_backprop.mistakes.operations.mistake import as_it_is
from properties.diagnosis.operations import Case, Explanation, Subject, diagnose
from properties.generic_cases import draw, generic_cases
from reference.operations import KNOWN, OPERATIONS, Operation
from reference.program import derivative

Arrays = Mapping[str, Any]


@dataclass(frozen=True)
class Trial:
    """A wrong backward pass and the cases that it is judged on."""

    name: str
    operation: Operation
    subject: Subject
    cases: Sequence[Case]


def names_of(operation: Operation) -> list[str]:
    """The inputs that have a gradient."""
    names = tuple(operation.inputs)
    return [names[i] for i in operation.differentiable]


def of_a_page(mistake: Mistake, backward: Callable[..., Any], name: str) -> Trial | None:
    """The subject of a page's backward pass; None where the reference has no such operation."""
    found = KNOWN.get(mistake.operation.removesuffix("_im2col"))
    if found is None:
        return None
    operation = (
        replace(found, sizes={**found.sizes, "g": (1,)}) if mistake.operation.startswith("conv") else found
    )
    forward, _ = passes(mistake.page, mistake.operation)
    table = getattr(mistake.page, "OPTIONS", {})

    def subject(
        inputs: Arrays, options: Arrays, cotangents: Sequence[Any], sizes: Mapping[str, int]
    ) -> Arrays:
        del sizes
        _, cache = forward(*inputs.values(), **{k: v for k, v in options.items() if k in table})
        gradients = backward(cotangents[0] if len(cotangents) == 1 else tuple(cotangents), cache)
        return dict(
            zip(names_of(operation), gradients if isinstance(gradients, tuple) else (gradients,), strict=True)
        )

    first = {name: values[0] for name, values in operation.options.items()}
    for place in (-1, 0):
        shown = {
            name: values[place] for name, values in table.items() if name in first and name != "reduction"
        }
        cases = generic_cases(operation, {**first, **shown, **mistake.shown.options})
        where = mistake.shown
        cases = [
            draw(operation, one.options, {**one.sizes, **where.sizes}, seed=i) if where.sizes else one
            for i, one in enumerate(cases)
        ]
        cases = [
            replace(one, inputs={k: where.inputs.get(k, as_it_is)(v) for k, v in one.inputs.items()})
            for one in cases
        ]
        if any(_is_shown(mistake, backward, table, one) for one in cases):
            return Trial(name, operation, subject, cases)
    return None


def _is_shown(mistake: Mistake, backward: Callable[..., Any], table: Arrays, case: Case) -> bool:
    """Whether the page with the mistake returns something else than the page."""
    forward, right = passes(mistake.page, mistake.operation)
    options = {name: value for name, value in case.options.items() if name in table}
    dy = case.cotangents[0] if len(case.cotangents) == 1 else case.cotangents
    mine, its = list[Any](), list[Any]()
    try:
        for found, one in ((mine, backward), (its, right)):
            _, cache = forward(*case.inputs.values(), **options)
            gradients = one(dy, cache)
            found.extend(gradients if isinstance(gradients, tuple) else (gradients,))
    except ValueError:
        return False
    return any(np.shape(a) != np.shape(b) or not np.allclose(a, b) for a, b in zip(mine, its, strict=True))


def catalogue() -> Iterator[Trial]:
    """Every mistake of the pages that a generic case shows."""
    for name, mistake in OPERATION_MISTAKES.items():
        if name not in AT_TIES and (trial := of_a_page(mistake, mistake.backward, name)):
            yield trial


AT_TIES = ("max_pool2d.every_tie_gets_all",)
"""Seen only where several slopes are right."""


def others() -> Iterator[Trial]:
    """The wrong backward passes that were written for this."""
    for one in WRONG:
        operation = OPERATIONS[one.operation]
        options = {name: values[0] for name, values in operation.options.items()}
        options.update(
            {name: values[-1] for name, values in operation.options.items() if isinstance(values[0], float)}
        )

        def subject(
            inputs: Arrays,
            options: Arrays,
            cotangents: Sequence[Any],
            sizes: Mapping[str, int],
            one: Any = one,
        ) -> Arrays:
            del sizes
            found = one.backward(*cotangents, *inputs.values(), **options)
            return dict(zip(names_of(OPERATIONS[one.operation]), found, strict=True))

        yield Trial(f"{one.operation}.{one.name}", operation, subject, generic_cases(operation, options))


def pairs() -> Iterator[Trial]:
    """Two mistakes of a page at once, where the one leaves the step of the other as it is."""
    every = [
        (a, first, second)
        for (a, first), (b, second) in combinations(OPERATION_MISTAKES.items(), 2)
        if first.page is second.page and first.operation == second.operation and not {a, b} & set(AT_TIES)
        if first.source.count(second.step) == 1
        and first.step not in second.step
        and second.step not in first.step
    ]
    for a, first, second in every[:: max(1, len(every) // AT_MOST)]:
        module = ModuleType("two_mistakes")
        exec(first.source.replace(second.step, second.wrong), module.__dict__)  # noqa: S102  (our pages)
        trial = of_a_page(first, passes(module, first.operation)[1], f"{a} and {second.name}")
        if trial:
            yield trial


AT_MOST = 80
"""Pairs of mistakes that are judged: spread evenly over all."""


def _squashed(g: Any, rng: np.random.Generator) -> Any:
    del rng
    return np.tanh(g)


def _one_entry(g: Any, rng: np.random.Generator) -> Any:
    spoilt = np.array(g)
    spoilt.flat[g.size // 2] += rng.uniform(0.1, 1) * (np.abs(g).max() + 1)
    return spoilt


SPOILT: Mapping[str, Callable[[Any, np.random.Generator], Any]] = {
    "one entry": _one_entry,
    "a wave added": lambda g, rng: g + 0.1 * np.sin(7 * np.arange(g.size)).reshape(g.shape) * np.abs(g).max(),
    "squashed": _squashed,
    "noise": lambda g, rng: g * (1 + 0.1 * rng.standard_normal(np.shape(g))),
}
"""What is done to a right gradient; no step of any program does it."""


def chance() -> Iterator[Trial]:
    """Right gradients of twenty operations, each spoilt in every way of `SPOILT`."""
    of = ("dense", "residual", "tanh", "gelu", "softmax", "log_softmax", "mse", "huber", "cross_entropy", "focal",
          "layer_norm", "batch_norm", "rms_norm", "attention", "embedding", "rnn_step", "glu", "prelu",
          "multiclass_hinge", "l2_normalise")  # fmt: skip
    from reference.arithmetic.floats import Floats  # noqa: PLC0415

    for name in of:
        operation = OPERATIONS[name]
        options = {key: values[0] for key, values in operation.options.items()}
        for how, spoil in SPOILT.items():

            def subject(
                inputs: Arrays,
                options: Arrays,
                cotangents: Sequence[Any],
                sizes: Mapping[str, int],
                operation: Operation = operation,
                spoil: Any = spoil,
            ) -> Arrays:
                traced = derivative(operation, options, sizes)
                right = Floats().read(traced.program, [*inputs.values(), *cotangents], sizes)[
                    traced.outputs :
                ]
                rng = np.random.default_rng(abs(hash(float(np.sum(cotangents[0])))))
                return dict(zip(names_of(operation), (spoil(one, rng) for one in right), strict=True))

            yield Trial(f"{name}: {how}", operation, subject, generic_cases(operation, options))


SETS: Mapping[str, Callable[[], Iterator[Trial]]] = {
    "the catalogue": catalogue,
    "other operations": others,
    "two at once": pairs,
    "no single step": chance,
}


@click.command("operation-mistakes")
@click.option("--only", default="", help="Of names that contain this alone.")
@click.option("--set", "sets", multiple=True, type=click.Choice(list(SETS)), help="This set alone.")
@json_option
def command(only: str, sets: tuple[str, ...], path: Path | None) -> None:
    """Which step of a wrong operation is named."""
    warnings.simplefilter("ignore", RuntimeWarning)
    rows, told = list[tuple[Any, ...]](), list[tuple[Any, ...]]()
    for name in sets or SETS:
        found = list[tuple[Explanation, float]]()
        for trial in SETS[name]():
            if only in trial.name:
                begun = process_time()
                diagnosis = diagnose(trial.operation, trial.subject, trial.cases)
                found.append((diagnosis, process_time() - begun))
                said = "; ".join(str(diagnosis).splitlines())
                told.append((trial.name, diagnosis.verdict, found[-1][1], said[:90]))
        if found:
            verdicts = [one.verdict for one, _ in found]
            counts = [
                verdicts.count(one)
                for one in ("named", "other operation", "several", "located", "none known")
            ]
            seconds = sorted(one for _, one in found)
            rows.append(
                (name, len(found), *counts, median(seconds), seconds[int(0.9 * len(seconds))], seconds[-1])
            )
    columns = ("wrong", "how", "seconds", "what is said")
    totals = ("set", "wrong", "one step", "other", "several", "place", "none", "median s", "90 %", "most")
    show(
        "operation-mistakes",
        [Table("Each", columns, told), Table("Wrong backward passes", totals, rows)],
        path,
    )
