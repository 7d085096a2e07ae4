"""The truth: right backward passes as programs, and how far rounding may carry a right gradient from them.

Nothing here imports `manual_backprop`, and nothing elsewhere imports `jax`. Read in this order: `operations` (forward
passes), `program` (their backward passes, as equations), `arithmetic` (ways of reading these, of which `bounded` gives
the bound), `truth` (of one operation), `chain` and `network_truth` (of several, one after another), `mutations` (a
right program with one step replaced); and beside them what shares no program with it: `network` and `differences`
(finite differences of a network's loss that know their own error), `exact` (the same in rational numbers), and `slopes`
(those of any forward pass).
"""

from reference.precision import take

take()  # the truth is in float64, whatever the subject computes in
