"""Which mistake a wrong gradient makes, where, and how that is known.

- `probes`: fresh cases around a counterexample, and the subject's answers;
- `hypotheses`: what a wrong gradient might be; `fits`: those with a number in them;
- `contributions`: how often each sample and output is counted;
- `matching`: which hypotheses explain the answers, array by array;
- `structure`: broken shapes and what is left over between calls;
- `corners`: the condition under which it is wrong, where it is right in general;
- `wording`: the census; `answer`: all of it put together;
- `edges`: right formulas with weak numbers.
"""

from properties.diagnosis.answer import Diagnosis as Diagnosis
from properties.diagnosis.answer import diagnose as diagnose
from properties.diagnosis.edges import explain_edge as explain_edge
