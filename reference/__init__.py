"""The truth: the same network in JAX, its derivatives, and how far rounding may carry a right gradient.

Nothing here imports `manual_backprop`, and nothing elsewhere imports `jax`. Read in this order:
`network` (the model), `autodiff` (plain derivatives), `envelope` (the same for every small network in
one compiled program), `rounding` (the bound), `differences` (finite differences that know
their own error) and `exact` (rational numbers).
"""

import jax

jax.config.update("jax_enable_x64", True)  # the truth is in float64, whatever the subject computes in
