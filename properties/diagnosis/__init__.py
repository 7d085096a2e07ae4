"""Which mistake a wrong gradient makes, where, and how that is known: one search for operations and networks.

- `trials`: a case, the subject's answer, and how near two arrays are that are the same; what a factor is called;
- `search`: candidates are programs with steps replaced; one that explains all, one for each array, two together;
- `operations`: the edits of an operation's program, factors that are read off, other operations, the census;
- `numbers`: a number that is in the mistake and nowhere else, such as an ε or a limit, read off an answer;
- `networks`: a network as a program, whose steps have names; `wrong_steps`: what people write in their place;
- `other_programs`: other problems, activations, losses and data; `network_search`: all of these as candidates, and
  numbers that the first answer shows;
- `contributions`: how often each sample and output is counted;
- `probes`: fresh cases around a counterexample, and the subject's answers;
- `structure`: broken shapes and what is left over between calls; `steps`: updates that are no gradient's;
- `conditions`: where it is wrong that is right elsewhere, of any cases; `network_population`: those of a network;
- `choices`: with which of them it is right;
- `wording`: the census of a network; `cures`: what to do; `answer`: all of it put together, as a `Diagnosis`;
- `losses`: what is wrong with a loss;
- `saturation`: how large z is; `edges`: right formulas with weak numbers; `guards`: those with an ε or a cut in them.
"""

from properties.diagnosis.diagnosis import Diagnosis as Diagnosis
