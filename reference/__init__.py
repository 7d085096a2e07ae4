"""The truth: the same network in JAX, its derivatives, and how far rounding may carry a right gradient.

Nothing here imports `manual_backprop`, and nothing elsewhere imports `jax`. Read in this order:
`network` (the model), `autodiff` (plain derivatives), `rounding` (the bound), `envelope` (truth and
bound of every small network in one compiled program), `differences` (finite differences that know
their own error) and `exact` (rational numbers).
"""
