"""What to do about a mistake that has no name, by its kind; those with a name have theirs in the catalogue."""

from collections.abc import Mapping

OF_AN_EDIT: Mapping[str, str] = {
    "path": "Add this path: the gradient is the sum over all paths.",
    "factor": "Compare this factor with the derivative of the step.",
    "sum": "Sum over all that use the value, and over nothing else.",
    "operand": "Use what the forward pass used at this step.",
    "slope": "Multiply by the derivative of the step, at the value that went in.",
    "layout": "Write down which axis of each array is which.",
    "condition": "Take the condition from the forward pass.",
    "scatter": "Add where indices repeat, as np.add.at does.",
    "overlap": "Add what each part gives, with +=, to an array that begins as zeros.",
    "cotangent": "Multiply by what comes back from above.",
    "carry": "Carry the state back from step to step, and add what each step gives.",
    "exchange": "Return the gradients in the order of the inputs.",
    "extra": "Leave the extra term out.",
    "constant": "Use the same number as the forward pass.",
    "clip": "Limit what the forward pass limits, and nothing else.",
    "precision": "Compute in double precision.",
}
"""By what is done to a step of a program: `reference.mutations.Edit.kind`."""

OF_A_STEP: Mapping[str, str] = {
    "error": "Start with the derivative of the loss by o, the whole (n, K) array.",
    "scores": "Start with the derivative of the loss by the last z, the whole (n, K) array.",
    "slope": "Multiply the error by the slope of the layer's own activation, at its own z: `dz = dh * slope`.",
    "down": "Send the error down by the transposed weights: `dh = dz @ W.T`.",
    "weights": "Multiply each sample's inputs with its own error, and add up: `dW = x.T @ dz`.",
    "bias": "Add up the errors of all samples: `db = dz.sum(axis=0)`.",
}
"""By which of the steps of a network it is."""
