"""The derivative of a forward pass that is known by its values alone, and how far it can be trusted.

Where no known operation agrees with a subject's forward pass, its own values decide. A call may be a message
to another process, so calls are few; and as nothing is known of what happens inside, every error is read off
the values. All outputs come back from a call, so a line through the point gives a whole column of the
Jacobian, and one measurement serves every cotangent.

**Along a line** x + tv, D(t) = [f(x + tv) - f(x - tv)] / 2t = f' + c₂t² + c₄t⁴ + ... Of steps t, 2t, 4t, 8t each two
give R, free of t², and the first three S, free of t⁴ (W. Romberg, 1955; J. Stoer and R. Bulirsch, *Introduction to
Numerical Analysis*, section 3.5). S is the value. Its error (`line`):

- *truncation*: the distance of S from the farthest R. Where the series falls off, that is (ρ/t)² times too much, ρ
  the radius of convergence; where it does not (a step across a kink, a pole, a period), three numbers would have to
  agree with a fourth by chance.
- *noise*: a value is off by ε, so S by at most (64 + 10 + ¼)/45 ε/t = 1.65 ε/t. Of ε three things are known,
  and the largest counts: the unit roundoff u times the largest value on the line; what a table of differences
  shows (`ground`); and u Σ_j |x_j ∂f/∂x_j|, what the rounding of the inputs alone does to f, which no program
  is expected to beat (N. J. Higham, *Accuracy and Stability of Numerical Algorithms*, section 1.6). Where these
  are too small, D(t) is off by more than D(2t) and D(4t), and the distance above sees it.
- *the point*: f' itself moves by u|x f''| with the rounding of x, and f'' is in the same values.

Every output takes, of the steps that were tried, those that explain it best; the steps move to where truncation,
which grows as t⁴, meets noise, which falls as 1/t.

**By complex steps** where f takes complex numbers and is analytic (`analytic`): a call for each column, and an error
up to 2⁹ times smaller. It is not the rounding of the complex step alone: a term such as 10^-9 |x| in a large loss
breaks the complex step, and shows in no value by more than rounding.

**A kink** at x: E(t) = [f(x + tv) - 2f(x) + f(x - tv)] / t = jump + a t + b t³ + ..., with `jump` the one-sided
slopes' difference f'(x; v) + f'(x; -v). The same extrapolation frees it of t and t³; what is larger than its own
error opens the entry by ± jump/2 about S = ½ [f'(x; v) - f'(x; -v)]: any slope between the two is right. What is
not larger counts as error.

**Several kinks at one point** (`kinks`). Coordinates one at a time say too little: at a tie, max(a, b) allows [0, 1]
for each entry, but not 1 for both. Two coordinates that kink *together* are moved at once, so that the tie is kept,
and the slope along this line is known: 1. They may say too much as well: w₁relu(a) - w₂relu(b) has neighbours whose
slopes lie outside of both one-sided ones. So slopes are taken along parallel lines beside the point too, and where one
lies outside, the entry stays wholly open: what a program answers there is convention (F. H. Clarke, *Optimization and
Nonsmooth Analysis*, 1983, section 2.1: the generalised gradient is made of the gradients of the neighbours).

**Not seen**: an error smaller than the stated one; on lines through many coordinates also what cancels, with
probability at most ½ each (R. Freivalds, 1977). Kinks that cancel along every line that was tried, as in
relu(x) - relu(-x) at 0, are no kinks of the function, and 1 is its derivative.
"""

from reference.slopes.ground import Direction as Direction
from reference.slopes.ground import Forward as Forward
from reference.slopes.ground import NotRepeatableError as NotRepeatableError
from reference.slopes.ground import Several as Several
from reference.slopes.measurement import Entries as Entries
from reference.slopes.measurement import Slopes as Slopes
from reference.slopes.measurement import Vjp as Vjp
from reference.slopes.measurement import slopes as slopes
