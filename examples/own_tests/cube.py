"""What a project of its own has: a torch.autograd.Function with a backward pass by hand."""

import torch


class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return x**3 @ w

    @staticmethod
    def backward(ctx, dy):
        x, w = ctx.saved_tensors
        return 3 * x**2 * (dy @ w.T), (x**3).T @ dy
