"""A network is an operation: its program has the right gradients, and its steps can be told apart and replaced."""

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from properties.comparison import named
from properties.diagnosis.networks import Network
from properties.diagnosis.probes import Probe
from properties.meta.accused import case_for
from properties.problem import Claim, read
from reference.arithmetic.floats import Floats
from reference.network import ACTIVATIONS, LOSSES
from reference.operations.network import HIDDEN, OF_OUTPUTS, OF_SCORES, OUTPUTS, network, sizes_of
from reference.program import derivative

ENTROPIES = (
    ("softmax", "cross_entropy"),
    ("sigmoid", "binary_cross_entropy"),
    ("sigmoid", "mean_binary_cross_entropy"),
)
PAIRS = (*product(OUTPUTS, OF_OUTPUTS), *ENTROPIES)


def test_every_activation_and_loss_of_a_network_has_its_function() -> None:
    assert set(HIDDEN) == set(ACTIVATIONS) - {"softmax"}
    assert set(OUTPUTS) == set(ACTIVATIONS)
    assert {*OF_OUTPUTS, *OF_SCORES} == set(LOSSES)


def probe_of(**problem: Any) -> Probe:
    return Probe(case_for(read(problem)), {})


@pytest.mark.parametrize(("output", "loss"), PAIRS)
@pytest.mark.parametrize("layers", [1, 3])
def test_the_program_of_a_network_gives_the_right_gradients(layers: int, output: str, loss: str) -> None:
    for hidden, reduction, bias in zip(HIDDEN, ("mean", "sum") * 3, (True, False, True) * 2, strict=False):
        probe = probe_of(
            layers=layers, hidden=hidden, output=output, loss=loss, reduction=reduction, bias=bias
        )
        found = Network(probe.case).right(probe.case)
        for name, right in probe.right.items():
            assert (abs(found[name] - right) <= probe.error[name]).all(), (name, hidden, reduction, bias)


@pytest.mark.parametrize("bias", [(True, False), (False, True)])
def test_each_layer_may_have_a_bias_or_none_and_labels_may_be_numbers(bias: tuple[bool, bool]) -> None:
    case = case_for((Claim(output=("softmax",), loss=("cross_entropy",), targets=("labels",)),))
    parameters = [(W, b if has else None) for (W, b), has in zip(case.parameters, bias, strict=True)]
    case = replace(case, parameters=parameters)
    arrays = {"X": case.inputs, "y": case.targets}
    arrays |= {f"W{layer}": W for layer, (W, _) in enumerate(parameters, start=1)}
    arrays |= {f"b{layer}": b for layer, (_, b) in enumerate(parameters, start=1) if b is not None}
    operation = network(2, **case.choices, bias=bias, labels=True)
    sizes = sizes_of(arrays, 2)
    program = derivative(operation, {}, sizes)
    values = [arrays[name] for name in operation.inputs]
    found = Floats().read(program.program, [*values, np.ones(())], sizes)
    gradients = dict(zip((f"d{name}" for name in operation.inputs), found[program.outputs :], strict=False))
    right, error, opened = map(named, (case.oracle.gradient, case.oracle.error, case.oracle.open))
    for name, array in gradients.items():
        assert (abs(array - right[name]) <= error[name] + opened[name]).all()
    assert abs(float(found[0]) - case.oracle.loss) <= case.oracle.loss_error


@pytest.mark.parametrize(("output", "loss"), PAIRS[::5])
def test_a_step_that_is_replaced_changes_what_lies_below_it_alone(output: str, loss: str) -> None:
    probe = probe_of(layers=3, hidden="sigmoid", output=output, loss=loss)
    chain = Network(probe.case)
    reached = {"weights": "W", "bias": "b", "down": "Wb", "slope": "Wb", "scores": "Wb", "error": "Wb"}
    for step in (one for one in chain.steps if one.kind in reached):
        found = chain.candidate("", [(step, lambda v: 2 * v + 1)]).at(probe)
        assert found is not None
        changed = {name for name, array in found.items() if not np.allclose(array, probe.right[name])}
        lower = range(1, step.layer + 1) if len(reached[step.kind]) > 1 else [step.layer]
        assert changed == {f"d{letter}{layer}" for letter in reached[step.kind] for layer in lower}


def test_what_stands_in_the_place_of_a_step_has_the_shape_of_the_step_or_is_no_gradient() -> None:
    probe = probe_of()
    chain = Network(probe.case)
    (step,) = chain.of("down")
    assert chain.candidate("", [(step, lambda dz, W: dz @ W)]).at(probe) is None
