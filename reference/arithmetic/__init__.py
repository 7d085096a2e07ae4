"""Ways of reading a program (`reference.program`): one file each, one short rule for each primitive.

| file | reads the program in | and it is |
|---|---|---|
| `floats` | NumPy's float64 | the truth |
| `bounded` | numbers that carry a rounding error, and what an undecided comparison leaves open | the bound |
| `exact` | fractions; the forward pass in dual numbers of fractions | the exact answer, and its witness |
| `balls` | rigorous enclosures | a proof |
| `complex_step` | the forward pass on complex numbers | a second opinion without a subtraction |

`moves` has the primitives that only move numbers about, `objects` what arrays of Python's numbers need, `reading` how
equations are read one after another, and `samples` small programs to try an arithmetic with.
"""
