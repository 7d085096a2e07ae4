"""Softmax as a layer like any other, hidden or last: y_j = e^x_j / Σ_l e^x_l in each sample.

With s = Σ_l e^x_l: ∂y_j/∂x_k = δ_jk e^x_j/s - e^x_j e^x_k/s² = y_j(δ_jk - y_k), which is not 0 for j ≠ k.
Raise one, and all the others fall. So the chain rule keeps every unit of the sample:
dx_k = Σ_j dy_j y_j(δ_jk - y_k) = y_k(dy_k - Σ_j dy_j y_j).
Source: J. S. Bridle, *Probabilistic interpretation of feedforward classification network outputs* (1990).
"""

from manual_backprop.layers.activation import activation

SOFTMAX = activation("softmax")
