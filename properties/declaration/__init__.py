"""What a file declares of the operations in it, read and checked: names alone, nothing of it is run here.

A file says what its forward pass takes (`OPERATION`, or `OPERATIONS` for several), and everything else
where the usual does not hold (`OPTIONS`, `SIZES`, ...). Pairs of functions that follow a convention (see
`properties.conventions`) or have the name of a known operation need no word. `read` turns what the file has
into one `Declaration` for each operation, or says which line is missing. Read in this order: `model` (what is
said), `names` (how functions are found), `parts` (inputs, options, sizes), `calls` (how functions are called),
`reader` (the whole file).
"""

from properties.declaration.model import (
    Argument,
    Call,
    Contents,
    Convention,
    Counterpart,
    Declaration,
    DeclarationError,
    Missing,
    Parameter,
)
from properties.declaration.reader import read
from properties.functions import Function, Module, Signature

__all__ = [
    "Argument",
    "Call",
    "Contents",
    "Convention",
    "Counterpart",
    "Declaration",
    "DeclarationError",
    "Function",
    "Missing",
    "Module",
    "Parameter",
    "Signature",
    "read",
]
