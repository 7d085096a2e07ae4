"""A mistake is the right program with one step replaced: the grammar of such steps.

An `Edit` puts something else in the place of one equation of the backward pass, or of what it keeps of the forward
pass. A `Passage` is the program made ready for edits, a `Reading` is it with all its values at one case, where an
edit costs no more than the equations after it, and `edits` are all that its steps have. `numbers` has those with a
number in them that nobody knows beforehand.

Sums and moves over axes of size 1 have no edits. Edits that give the same numbers are one answer: that is for the
search to see (`properties.diagnosis.operations`).

Not in the grammar: the arithmetic of windows, copies of parts of arrays, what a program remembers between calls.
"""

from reference.mutations.edit import Edit
from reference.mutations.grammar import edits
from reference.mutations.passage import Passage
from reference.mutations.reading import Reading, changes_nothing, dead_ends
from reference.mutations.slopes import FORMULAS

__all__ = ["FORMULAS", "Edit", "Passage", "Reading", "changes_nothing", "dead_ends", "edits"]
