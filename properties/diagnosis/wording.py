"""What a diagnosis says of the place: which arrays, how many entries, in which ratio."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from properties.cases import Array
from properties.diagnosis.fits import ratio
from properties.diagnosis.probes import Probe

RATIOS: Mapping[str, Callable[[int, int], float]] = {
    "n": lambda n, k: n,
    "K": lambda n, k: k,
    "1/n": lambda n, k: 1 / n,
    "1/K": lambda n, k: 1 / k,
    "n·K": lambda n, k: n * k,
    "1/(n·K)": lambda n, k: 1 / (n * k),
    "n/K": lambda n, k: n / k,
    "K/n": lambda n, k: k / n,
    "2n": lambda n, k: 2 * n,
    "n/2": lambda n, k: n / 2,
    "2K": lambda n, k: 2 * k,
    "K/2": lambda n, k: k / 2,
    "2/n": lambda n, k: 2 / n,
    "2/K": lambda n, k: 2 / k,
    "1/n²": lambda n, k: 1 / n**2,
    "1/K²": lambda n, k: 1 / k**2,
    "−n": lambda n, k: -n,
    "−1/n": lambda n, k: -1 / n,
}
"""How a wrong factor may depend on the samples n and the outputs K."""


def census(own: Probe | None, probes: Sequence[Probe]) -> str:
    """`dW1, db1 (layer 1: weights and bias); 12 of 12 entries; constant ratio 5`.

    The arrays are those that are wrong anywhere; the entries are those of the case itself where it is
    wrong, of another otherwise.
    """
    wrong = [probe for probe in ([own] if own else []) + list(probes) if probe.fault is None and probe.wrong]
    if not wrong:
        return ""
    arrays = [name for name in wrong[0].right if any(name in probe.wrong for probe in wrong)]
    entries = sum(wrong[0].wrong.values())
    total = sum(wrong[0].right[name].size for name in arrays)
    parts = [f"{', '.join(arrays)} ({_layers(arrays, list(wrong[0].right))})"]
    parts.append(_place(wrong) or f"{entries} of {total} entries")
    parts.append(_ratio([probe for probe in probes if probe.fault is None and probe.wrong] or wrong))
    return "; ".join(parts)


def _layers(arrays: Sequence[str], everything: Sequence[str]) -> str:
    """`layer 1: weights and bias; layer 2: bias`, or `everything`."""
    if list(arrays) == list(everything):
        return "everything"
    what = {
        layer: [kind for letter, kind in (("W", "weights"), ("b", "bias")) if f"d{letter}{layer}" in arrays]
        for layer in dict.fromkeys(name[2:] for name in arrays)
    }
    return "; ".join(f"layer {layer}: {' and '.join(kinds)}" for layer, kinds in what.items())


def _place(wrong: Sequence[Probe]) -> str:
    """One entry, row or column that is all that is ever wrong; empty otherwise."""
    masks = [(name, probe.off(name)) for probe in wrong for name in probe.wrong]
    names = {name for name, _ in masks}
    places = [np.argwhere(mask) for _, mask in masks]
    if len(names) != 1:
        return ""
    (name,) = names
    first = places[0][0]
    if all(len(place) == 1 and np.array_equal(place[0], first) for place in places):
        return f"one entry alone, {name}[{', '.join(str(int(i)) for i in first)}]"
    if len(first) == 1:
        return ""
    for axis, word in ((0, "row"), (1, "column")):
        if all((place[:, axis] == first[axis]).all() for place in places):
            return f"{word} {first[axis]} of {name} alone"
    return ""


def _ratio(wrong: Sequence[Probe]) -> str:
    """How the wrong arrays relate to the right ones."""
    pairs = [
        (probe, name, ratio(probe, name, probe.answer[name], probe.right[name]))
        for probe in wrong
        for name in probe.wrong
        if probe.right[name].any()
    ]
    found = [r for _, _, r in pairs if r is not None]
    if len(found) < len(pairs) or not found:
        return "no constant ratio"

    def all_are(factor: Callable[[Probe], float]) -> bool:
        return all(
            probe.agree(name, probe.answer[name], factor(probe) * probe.right[name])
            for probe, name, _ in pairs
        )

    def at(text: str) -> Callable[[Probe], float]:
        return lambda probe: RATIOS[text](probe.case.samples, probe.case.outputs)

    if all_are(lambda probe: 0.0):
        return "all of them 0"
    if all_are(lambda probe: found[0]):
        return f"constant ratio {found[0]:.6g}"
    for text in RATIOS:
        if all_are(at(text)):
            return f"the ratio is {text} (n samples, K outputs)"
    return "a ratio that changes from case to case"


def listed(values: Sequence[float] | Array) -> str:
    """`1.5, 2`."""
    return ", ".join(f"{value:.3g}" for value in values)
