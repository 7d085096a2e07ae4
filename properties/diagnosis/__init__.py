"""Which mistake a wrong gradient makes, where, and how that is known.

- `probes`: fresh cases around a counterexample, and the subject's answers;
- `networks`: a network as a program, whose steps have names; `wrong_steps`: what people write in their place, and
  `other_data`: with which other inputs, or weights of samples;
- `other_programs`: what the catalogue has no name for; `hypotheses`: all that a wrong gradient might be, read from
  that program; `fits`: those with a number in them;
- `contributions`: how often each sample and output is counted;
- `matching`: which hypotheses explain the answers, array by array;
- `structure`: broken shapes and what is left over between calls; `steps`: updates that are no gradient's;
- `corners`: the condition under which it is wrong, where it is right in general;
- `wording`: the census; `answer`: all of it put together;
- `losses`: what is wrong with a loss;
- `edges`: right formulas with weak numbers; `guards`: those with an ε or a cut in them.
"""

from properties.diagnosis.answer import Diagnosis as Diagnosis
from properties.diagnosis.answer import diagnose as diagnose
from properties.diagnosis.edges import explain_edge as explain_edge
from properties.diagnosis.guards import LARGEST_GUARD as LARGEST_GUARD
from properties.diagnosis.guards import MOST_GUARDS as MOST_GUARDS
from properties.diagnosis.guards import Guarded as Guarded
from properties.diagnosis.guards import find_guards as find_guards
