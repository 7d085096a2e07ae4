"""Ways of reading a program (`reference.program`): one file each, one short rule for each primitive.

| file | reads the program in | and it is |
|---|---|---|
| `floats` | NumPy's float64 | the truth |
| `bounded` | numbers that carry a rounding error, and what an undecided comparison leaves open | the bound |
| `exact` | fractions | the exact answer |
| `balls` | rigorous enclosures | a proof |
| `complex_step` | complex numbers | a second opinion without a subtraction |

`moves` has the primitives that only move numbers about, and `reading` how equations are read one after another.
"""
