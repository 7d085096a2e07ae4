"""The truth: the same network in JAX, its derivatives, and how far rounding may carry a right gradient.

Nothing here imports `manual_backprop`, and nothing elsewhere imports `jax`. Read in this order:
`network` (the model), `autodiff` (plain derivatives), `envelope` (the same for every small network in
one compiled program), `rounding` (the bound), `differences` (finite differences that know
their own error) and `exact` (rational numbers).
"""
