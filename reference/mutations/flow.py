"""Which equations of a program matter to its gradients, and what depends on what."""

from collections.abc import Mapping, Sequence
from functools import cache

from reference.program import Equation, Instance, Slot


class Flow:
    """Which equations of a program matter to its gradients, and what depends on what."""

    def __init__(self, steps: Sequence[Equation], carried: Sequence[Slot], ends: Sequence[Slot]) -> None:
        """The equations, the variables that come from cotangents, and those that are the gradients."""
        needed, uses = set(ends), dict[Slot, list[int]]()
        self.steps, self.ends = steps, tuple(ends)
        # the caches live as long as the flow
        self.after, self.entries = cache(self._after), cache(self._entries)
        self.reached, self.work = cache(self._reached), cache(self._work)
        self.matters = set[int]()
        for i in reversed(range(len(steps))):
            if needed.intersection(steps[i].outputs):
                self.matters.add(i)
                needed.update(steps[i].inputs)
        self.carried = set(carried)
        for i in sorted(self.matters):
            if self.carried.intersection(steps[i].inputs):
                self.carried.update(steps[i].outputs)
            for slot in steps[i].inputs:
                uses.setdefault(slot, []).append(i)
        self.uses: Mapping[Slot, Sequence[int]] = uses

    def backward(self, i: int) -> bool:
        """Whether an equation depends on a cotangent."""
        return bool(self.carried.intersection(self.steps[i].outputs))

    def _after(self, i: int) -> tuple[int, ...]:
        """The equations that depend on this one."""
        seen, waiting = set[int](), [i]
        while waiting:
            for slot in self.steps[waiting.pop()].outputs:
                for use in self.uses.get(slot, ()):
                    if use not in seen:
                        seen.add(use)
                        waiting.append(use)
        return tuple(sorted(seen))

    def _entries(self, i: int) -> tuple[int, ...]:
        """The equations of the way back that see this step: its uses, or the first ones after the forward pass."""
        if self.backward(i):
            return tuple(dict.fromkeys(j for slot in self.steps[i].outputs for j in self.uses.get(slot, ())))
        kept = {slot for j in (i, *self.after(i)) if not self.backward(j) for slot in self.steps[j].outputs}
        return tuple(j for j in self.after(i) if self.backward(j) and kept.intersection(self.steps[j].inputs))

    def _reached(self, i: int) -> frozenset[int]:
        """The places of the gradients that depend on this equation."""
        found = {slot for j in (i, *self.after(i)) for slot in self.steps[j].outputs}
        return frozenset(k for k, end in enumerate(self.ends) if end in found)

    def _work(self, places: frozenset[int]) -> int:
        """How many equations are read anew where these are edited; those of a loop in each turn."""
        return sum(_turns(self.steps[i]) for i in places.union(*map(self.after, places)))


def _turns(step: Equation) -> int:
    if step.primitive != "scan":
        return 1
    return step.parameters["length"] * len(step.parameters["jaxpr"].dynamic)


def body_flow(step: Equation, carried: set[Slot]) -> Flow:
    """The flow of the body of a scan; what a carry brings round comes from cotangents too."""
    body: Instance = step.parameters["jaxpr"]
    first, carries = step.parameters["num_consts"], step.parameters["num_carry"]
    inner = [place for place, slot in zip(body.program.inputs, step.inputs, strict=True) if slot in carried]
    while True:
        flow = Flow(body.dynamic, inner, body.program.outputs)
        more = [
            body.program.inputs[first + k]
            for k in range(carries)
            if body.program.outputs[k] in flow.carried and body.program.inputs[first + k] not in inner
        ]
        if not more:
            return flow
        inner += more
