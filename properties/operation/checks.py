"""What holds of every right derivative of an operation: each check is a sentence, a subject and a case."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from properties.comparison import Comparison, compare, told_apart
from properties.operation.cases import EDGES, REGULAR, OperationCase, cases, literal
from properties.operation.judge import Judge
from properties.operation.right import alike, compared_outputs, differ, not_finite
from properties.search import INCONSTANT, Inconclusive, NoGradient, NotApplicable, Violation, Weakness
from reference.slopes import NotRepeatableError, slopes


def regular_cases(judge: Judge) -> SearchStrategy[OperationCase]:
    """Cases on which the formula decides."""
    return cases(judge, REGULAR, sizes=judge.pool, among=judge.combinations, calls=judge.calls)


def edge_cases(judge: Judge) -> SearchStrategy[OperationCase]:
    """Numbers from 1e-8 to 1e8, and where functions are flat."""
    return cases(judge, EDGES, sizes=judge.pool, among=judge.combinations, calls=judge.calls)


def single_cases(judge: Judge) -> SearchStrategy[OperationCase]:
    """Cases in single precision."""
    if judge.declaration.dtype != "float64":
        raise NotApplicable("it is judged in single precision anyway")
    if judge.reading is None:
        raise NotApplicable("it is not a known operation")
    kinds = [one.values for one in judge.declaration.inputs.values()]
    if not all(isinstance(one, str) or callable(one) for one in kinds):
        raise NotApplicable("the file draws its own numbers")
    return cases(
        judge, ("plain",), dtype="float32", sizes=judge.pool, among=judge.combinations, calls=judge.calls
    )


def cases_of_second_order(judge: Judge) -> SearchStrategy[OperationCase]:
    """Small cases of what has a Hessian, or its product with a vector."""
    if not (judge.declaration.has("hessian") or judge.declaration.has("hvp")):
        raise NotApplicable("it has no hessian and no hvp")
    return cases(judge, ("plain",), sizes=(1, 2, 3), calls=judge.calls)


def known_cases(judge: Judge) -> SearchStrategy[OperationCase]:
    """Cases of an operation that is named."""
    if judge.declaration.counterpart is None:
        raise NotApplicable("no known operation is named")
    if judge.declaration.has("stand_in"):
        raise NotApplicable("its derivative is meant to be of stand_in")
    drawn, witness = cases(judge, REGULAR, calls=judge.calls), judge.witness
    return drawn if witness is None else st.just(witness) | drawn  # few cases might all agree


def result_meets_the_contract(judge: Judge, case: OperationCase) -> None:
    """Outputs come back, and a gradient for each differentiable input, in its shape, and finite."""
    outputs, _, gradients = judge.run(case)
    if any(not np.isfinite(array).all() for array in gradients.values()):
        if not all(np.isfinite(output).all() for output in outputs if output.dtype.kind == "f"):
            return  # nothing is asked of the slope of what has no value
        if told := not_finite(gradients, judge.right(case)):
            raise Violation(told)


def gradient_equals_the_derivative(judge: Judge, case: OperationCase) -> Comparison:
    """Every entry of every gradient is the derivative, but for rounding and what a kink leaves open."""
    found = judge.check(case)
    if told := judge.undefined(case):
        raise Weakness(told, case)
    return found


def gradient_is_right_at_the_edges(judge: Judge, case: OperationCase) -> Comparison | None:
    """With values from 1e-8 to 1e8, and where functions are flat, it is still the derivative.

    Where only differences say what is right, it is finite: of more nothing is known there.
    """
    outputs, _, gradients = judge.run(case)
    if judge.reading is None:
        if all(np.isfinite(array).all() for array in gradients.values()):
            return None
        if not all(np.isfinite(one).all() for one in outputs):
            judge.remark(
                "forward is not finite for some numbers of up to 1e8: nothing is asked of its gradient there"
            )
            return None
    right = judge.right(case)
    known = [part for one in right.gradients.values() for part in (one.value, one.error)]
    if not all(np.isfinite(array).all() for array in known):
        raise Inconclusive("the numbers overflow, or nothing is left of them but rounding")
    if not all(np.isfinite(one.value).all() for one in right.outputs):
        raise Inconclusive("the numbers overflow")
    return judge.check(case)


def gradient_is_right_in_single_precision(judge: Judge, case: OperationCase) -> Comparison:
    """Given float32, it is the derivative within what float32 can hold."""
    return judge.in_format("float32").check(case)


def value_equals_the_reference(judge: Judge, case: OperationCase) -> Comparison:
    """The forward pass is the operation that its name or `REFERENCE` says."""
    counterpart = judge.declaration.counterpart
    outputs, _, _ = judge.run(case)
    if judge.reading is None or judge.reading.own or judge.reading.backward:
        if counterpart is None or not counterpart.said:
            raise NotApplicable("its forward pass is not a known operation")
        told = judge.difference(case, outputs)
        if not told:
            raise Inconclusive("it agrees with the reference here")
        meant = judge.reading is not None and judge.reading.backward
        whose = counterpart.operation if meant else "*your* forward"
        backward = "backward is wrong as well" if judge.is_wrong else f"backward is right for {whose}"
        case.shows(*case.printed_output)
        raise Violation(f"forward differs from {counterpart.operation}, its REFERENCE: {told}; {backward}.")
    known = judge.known(case)
    if known is None:
        raise Inconclusive("the known operation has different shapes")
    found = compared_outputs(outputs, known)
    if not found.holds:
        case.shows(*case.printed_output)
        raise Violation(f"forward: {found.worst}.")
    return found


def scaling_the_cotangent_scales_the_gradient(judge: Judge, case: OperationCase) -> None:
    """A cotangent of 0 gives 0, and doubled, halved or negated ones the gradient doubled, halved or negated.

    By powers of 2 nothing is rounded, so the two are equal to the last digit in any order of summation; but for what
    rounds otherwise for a larger dy, as what iterates until it is near enough.
    """
    dy, forward = f"d{judge.output}", judge.subject.forward(case.inputs, case.options)
    cotangents = case.cotangents(forward.outputs)
    once = {
        name: np.array(one) for name, one in judge.subject.backward(forward, cotangents).gradients.items()
    }
    for factor in (0.0, -2.0):
        forward = judge.subject.forward(case.inputs, case.options)
        scaled = tuple((one * factor).astype(one.dtype) for one in cotangents)
        found = judge.subject.backward(forward, scaled).gradients
        for name, array in found.items():
            known = np.isfinite(once[name])
            if known.size and not known.any():
                raise Inconclusive("the gradient is not finite")
            expected = np.where(known, once[name] * factor, 0).astype(array.dtype)
            array = np.where(known, array, 0)  # noqa: PLW2901  (of the others nothing is known)
            if not _equal(array, expected):
                shown = f"# with {factor:g} {dy}", replace(case, given=scaled)
                if factor == 0:
                    case.shows(*shown)
                    raise Violation(
                        f"d{name} is not 0 where the cotangent {dy} is 0: a backward pass multiplies by {dy}, and this "
                        "one ignores it, or adds to it"
                    )
                if _within_half_the_digits(array, expected) and _alike(
                    judge, case, once, {**once, name: found[name] / factor}
                ):
                    continue
                case.shows(*shown)
                at = np.unravel_index(int(np.argmax(np.abs(array - expected))), array.shape)
                place = f"d{name}[{', '.join(map(str, map(int, at)))}]" if array.ndim else f"d{name}"
                is_now, should = told_apart(float(array[at]), float(expected[at]))
                raise Violation(
                    f"{place} is {is_now} for the cotangent -2 {dy}, and should be {should}, -2 times what it is "
                    f"for {dy}"
                )


def _equal(array: Any, expected: Any) -> bool:
    """Equal, but for what underflows: numbers next to the smallest normal one may lose their last digits."""
    if np.array_equal(array, expected):
        return True
    tiny = float(np.finfo(array.dtype).tiny)
    return bool(np.all((array == expected) | (np.abs(array - expected) <= 2 * tiny)))


def _within_half_the_digits(array: Any, expected: Any) -> bool:
    """Whether two arrays differ by no more than half of the digits of the largest number."""
    half = float(np.sqrt(np.finfo(array.dtype).eps)) * float(np.abs(expected).max(initial=0))
    return bool((np.abs(array - expected) <= half).all())


def second_backward_gives_the_same(judge: Judge, case: OperationCase) -> None:
    """Backward once more, with the very same cache and cotangent, gives the same gradients."""
    forward = judge.subject.forward(case.inputs, case.options)
    cotangents = case.cotangents(forward.outputs)
    first = judge.subject.backward(forward, cotangents)
    kept = {name: np.array(array) for name, array in first.gradients.items()}
    try:
        second = judge.subject.backward(forward)
    except NoGradient as fault:
        told = str(fault).partition("\n")[0].rstrip(".")
        judge.remark(f"backward can be called once for each forward pass: {told}")
        return
    judge.remark_manners("backward", second.manners)
    changed = [name for name in first.manners.mutated if name]
    why = f": the first call changes {changed[0]} in place" if changed else ""
    for name, array in second.gradients.items():
        if not np.array_equal(array, kept[name], equal_nan=True) and not _alike(
            judge, case, kept, second.gradients
        ):
            case.shows(*case.call[-1:])
            raise Violation(
                f"a second backward pass with the same d{judge.output} and cache gives a different d{name}{why}"
            )
    if changed:
        judge.remark(
            f"backward changes {', '.join(changed)} in place: whoever uses it afterwards has to copy it before"
        )


def forward_leaves_its_inputs_alone(judge: Judge, case: OperationCase) -> None:
    """Neither pass changes an input in place."""
    forward = judge.subject.forward(case.inputs, case.options)
    backward = judge.subject.backward(forward, case.cotangents(forward.outputs))
    for who, done in (("forward", forward), ("backward", backward)):
        changed = [name for name in done.manners.mutated if name in case.inputs]
        if changed:
            case.shows(f"print({changed[0]})  # {who} has changed it")
            raise Violation(f"{who} changes its input {changed[0]} in place: work on a copy")
        judge.remark_manners(who, done.manners)


def same_call_gives_the_same_answer(judge: Judge, case: OperationCase) -> None:
    """The same inputs and cotangents give the same outputs and gradients, also after another call in between."""
    outputs, cotangents, gradients = judge.run(case)
    kept = {name: np.array(array) for name, array in gradients.items()}
    outputs = tuple(np.array(one) for one in outputs)
    other = {name: _moved(array) for name, array in case.inputs.items()}
    try:
        between = judge.subject.forward(other, case.options)
        judge.subject.backward(between, case.cotangents(between.outputs))
    except NoGradient:
        pass  # elsewhere it may not be defined
    forward = judge.subject.forward(case.inputs, case.options)
    again = judge.subject.backward(forward, cotangents).gradients
    same = all(np.array_equal(again[name], kept[name], equal_nan=True) for name in kept)
    is_random = any(differ(one, before) for one, before in zip(forward.outputs, outputs, strict=True))
    if is_random or not (same or _alike(judge, case, kept, again)):
        told = RANDOM if is_random or judge.is_random else KEPT
        if told is RANDOM:
            case.shows("# and once more", *case.call)
        else:
            case.before[:] = [replace(case, before=[]), replace(case, inputs=other, before=[])]
        raise Violation(f"{INCONSTANT} {told}")


RANDOM = (
    "forward gives different outputs for the same inputs: it draws random numbers without a seed, or keeps something "
    "between calls."
)
KEPT = "The same inputs and cotangents give different gradients after another call: something is kept between calls."


def _moved(array: Any) -> Any:
    """Other numbers of the same kind: in reverse order."""
    array = np.asarray(array)
    return np.array(array.reshape(-1)[::-1].reshape(array.shape))


def _alike(judge: Judge, case: OperationCase, one: Any, other: Any) -> bool:
    """Whether two answers differ by rounding alone; of less than half of their digits the right answer tells."""
    if any(not np.isfinite(array).all() for answers in (one, other) for array in answers.values()):
        return True
    right = judge.right(case)
    if any(differ(one[name], other[name], _rounding(part)) for name, part in right.gradients.items()):
        return False
    return alike(one, other, right).holds


def _rounding(part: Any) -> Any:
    """How far rounding alone may carry each entry, as far as it is known."""
    return np.where(np.isfinite(part.error), part.error, 0.0)


LAYOUTS: Mapping[Literal["F", "strided"], tuple[str, str, str]] = {
    "F": ("Fortran's order matters", "# in Fortran's order", "np.asfortranarray({})"),
    "strided": ("strides in memory matter", "# with strides", "np.repeat({}, 2, axis=-1)[..., ::2]"),
}
"""What is said of each, and the array in it as Python."""


def memory_layout_does_not_matter(judge: Judge, case: OperationCase) -> None:
    """The same numbers in Fortran's order, strided, or as a broadcast cotangent have the same gradient."""
    _, cotangents, straight = judge.run(case)
    for layout in LAYOUTS:
        forward = judge.subject.forward(case.inputs, case.options, layout=layout)
        found = judge.subject.backward(forward, cotangents, layout=layout).gradients
        if not _alike(judge, case, straight, found):
            what, called, moved = LAYOUTS[layout]
            given = {**case.inputs, **dict(zip([f"d{judge.output}"], cotangents, strict=False))}
            arrays = [name for name, array in given.items() if np.ndim(array) and len(cotangents) == 1]
            case.shows(called, *(f"{name} = {moved.format(name)}" for name in arrays), *case.call)
            raise Violation(
                f"{what}: the same numbers in a different memory layout give a different gradient"
            )


def second_derivative_is_that_of_the_gradient(judge: Judge, case: OperationCase) -> Comparison:
    """The Hessian, or its product with a vector, is the derivative of the subject's own gradient, and symmetric."""
    declared = judge.declaration
    names = list(case.inputs)

    def gradient(arrays: list[Any]) -> list[Any]:
        inputs = dict(zip(names, arrays, strict=True))
        try:
            forward = judge.subject.forward(inputs, case.options)
            found = judge.subject.backward(forward, [np.ones_like(one) for one in forward.outputs]).gradients
        except Violation as fault:
            raise ValueError(str(fault)) from None
        return [found[name] for name in declared.differentiable]

    moving = [name in declared.differentiable for name in names]
    try:
        measured = slopes(gradient, [np.asarray(case.inputs[name]) for name in names], differentiable=moving)
    except (NotRepeatableError, ValueError) as error:
        raise Inconclusive(str(error)) from None
    lines = [i for i, one in enumerate(measured.directions) if one.entry is not None]
    length = np.array([measured.directions[i].length for i in lines])[:, None]
    second, error, opened = (
        part[lines] / length for part in (measured.value, measured.error, measured.open)
    )  # (entries, entries)
    if declared.has("hessian"):
        found = judge.subject.hessian(case.inputs, case.options)
        order = declared.differentiable
        sizes = [np.asarray(case.inputs[name]).size for name in order]
        blocks = [
            [np.reshape(found[one, other], (sizes[i], sizes[j])) for j, other in enumerate(order)]
            for i, one in enumerate(order)
        ]
        actual, what, shown = np.block(blocks), "hessian", list[str]()
    else:
        rng = np.random.default_rng(case.raw[:4])
        v = {name: rng.choice([-1.0, 1.0], np.shape(case.inputs[name])) for name in declared.differentiable}
        along = np.concatenate([v[name].ravel() for name in declared.differentiable])
        product = judge.subject.hvp(case.inputs, v, case.options)
        actual = np.concatenate([product[name].ravel() for name in declared.differentiable])
        second, error, opened = along @ second, np.abs(along) @ error, np.abs(along) @ opened
        what = "hvp"
        given, tangents = ("".join(f"{one}, " for one in some) for some in (names, map(literal, v.values())))
        shown = [f"inputs, tangents = ({given.strip()}), ({tangents.strip()})"]
    known = np.isfinite(error)
    if not known.any():
        raise Inconclusive("the gradient is not finite beside the case")
    actual = np.where(known, actual, second)
    comparison = compare({what: actual}, {what: second}, {what: error}, {what: opened})
    if not comparison.holds:
        call = declared.calls[what]
        case.shows(*shown, f"print({call.called}({call.given}))")
        raise Violation(f"{comparison.worst}: it is not the derivative of the gradient")
    return comparison
