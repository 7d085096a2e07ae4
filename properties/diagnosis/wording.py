"""What a diagnosis says of the place: which arrays, how many entries, in which ratio."""

from collections.abc import Sequence

import numpy as np

from properties.diagnosis.probes import Probe
from properties.diagnosis.trials import named_factor, ratio


def census(own: Probe | None, probes: Sequence[Probe], *, with_ratios: bool = True) -> str:
    """`dW1, db1 (layer 1: weights and bias); constant ratio 5; 3 of 4 entries of the smallest case`.

    The arrays are those that are wrong anywhere, each with its ratio where they differ in it; the entries
    are those of the case itself where it is wrong, of another otherwise.
    """
    wrong = [probe for probe in ([own] if own else []) + list(probes) if probe.fault is None and probe.wrong]
    if not wrong:
        return ""
    arrays = [name for name in wrong[0].right if any(name in probe.wrong for probe in wrong)]
    entries = sum(wrong[0].wrong.values())
    total = sum(wrong[0].right[name].size for name in arrays)
    of_case = "the smallest case" if wrong[0] is own else "a fresh case"
    parts = [f"{', '.join(arrays)} ({_layers(arrays, list(wrong[0].right))})"]
    parts += [place] if (place := _place(wrong)) else []
    # What two numbers of one case have to each other is no rule.
    if with_ratios and (len(wrong) > 1 or sum(wrong[0].wrong.values()) > len(wrong[0].wrong)):
        parts.append(_ratios(wrong, arrays))
    of = "entry" if total == 1 else "entries"
    parts += [] if place else [f"{entries} of {total} {of} of {of_case}"]
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
    """One entry, row or column that is all that is ever wrong, counted from either end; empty otherwise."""
    masks = [(name, probe.off(name)) for probe in wrong for name in probe.wrong]
    if len({name for name, _ in masks}) != 1:
        return ""
    name = masks[0][0]
    for from_end in (False, True):
        places = [np.argwhere(mask) - (np.array(mask.shape) if from_end else 0) for _, mask in masks]
        first = places[0][0]
        if all(len(place) == 1 and np.array_equal(place[0], first) for place in places):
            return f"one entry alone, {name}[{', '.join(str(int(i)) for i in first)}]"
        for axis, word in ((0, "row"), (1, "column")):
            if len(first) > 1 and all((place[:, axis] == first[axis]).all() for place in places):
                return f"{word} {first[axis]} of {name} alone"
    return ""


def _ratios(wrong: Sequence[Probe], arrays: Sequence[str]) -> str:
    """How the wrong arrays relate to the right ones: all in one way, or each in its own."""
    ways = {_ratio(wrong, arrays): arrays}
    if NO_RATIO in ways:
        ways = {}
        for name in arrays:
            way = _ratio(wrong, [name])
            ways[way] = [*ways.get(way, ()), name]
    told = [f"{', '.join(names)}: {way}" for way, names in ways.items()] if len(ways) > 1 else list(ways)
    explained = " (n samples, k outputs)" if any("the ratio is" in way for way in ways) else ""
    return ", ".join(told) + explained


NO_RATIO = "no constant ratio"


def _ratio(wrong: Sequence[Probe], arrays: Sequence[str]) -> str:
    """The ratio of the wrong entries of some arrays to the right ones."""
    pairs = [
        (probe, name, probe.off(name))
        for probe in wrong
        for name in probe.wrong
        if name in arrays and probe.right[name].any()
    ]
    found = [
        ratio(probe, name, probe.answer[name][off], probe.right[name][off]) for probe, name, off in pairs
    ]
    known = [one for one in found if one is not None]
    if not known or len(known) < len(found):
        return NO_RATIO
    if not any(known):
        return "all of them 0"
    called = named_factor(known, [probe for probe, _, _ in pairs])
    if called is None:
        return NO_RATIO if len(arrays) > 1 else "a ratio that changes from case to case"
    symbolic = any(letter.isalpha() for letter in called[0])
    return f"the ratio is {called[0]}" if symbolic else f"constant ratio {known[0]:.6g}"
