"""As `torch_function.py`, but dβ ignores what comes from above."""

import torch

OPERATION = {"x": "n d", "beta": ""}


class Swish(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, beta):
        ctx.save_for_backward(x, beta)
        return x * torch.sigmoid(beta * x)

    @staticmethod
    def backward(ctx, dy):
        x, beta = ctx.saved_tensors
        s = torch.sigmoid(beta * x)
        slope = s * (1 - s)
        return dy * (s + beta * x * slope), (x * x * slope).sum()


FUNCTION = Swish.apply
ARRAYS = "torch"
