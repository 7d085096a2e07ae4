"""Mistakes in looking up and leaving out: labels that occur twice, masks that are not those of the forward pass."""

import numpy as np

from manual_backprop.mistakes.operations.mistake import Array, Mistake, Where, ones
from manual_backprop.operations import dropout, embedding


def each_label_once(x: Array) -> Array:
    """The labels 0, 1, 2, ... in the shape of x."""
    return np.arange(x.size).reshape(x.shape)


NO_LABEL_TWICE = Where(sizes={"v": 20}, inputs={"x": each_label_once})

LOOKUPS = (
    Mistake(
        embedding,
        "last_use_stays",
        step="np.add.at(dW, x, dy)",
        wrong="dW[x] += dy",
        sentence="NumPy's dW[x] += dy adds once for each row, though a label may occur several times.",
        hint="a = np.zeros(1); a[[0, 0]] += 1: what is a?",
        cure="np.add.at(dW, x, dy), or a matrix product with one-hot rows.",
        hides="No label twice.",
        hidden=(NO_LABEL_TWICE,),
    ),
    Mistake(
        embedding,
        "divided_by_the_count",
        step="np.add.at(dW, x, dy)",
        wrong="np.add.at(dW, x, dy)\n    dW /= np.maximum(np.bincount(x.ravel(), minlength=len(dW)), 1)[:, None]",
        sentence="A row's shares are averaged over its uses, and each use counts in full.",
        hint="A word occurs twice. Does nudging its row move one output, or two?",
        cure="The sum of the shares, undivided.",
        hides="No label twice.",
        hidden=(NO_LABEL_TWICE,),
    ),
    Mistake(
        embedding,
        "first_label_left_out",
        step="np.add.at(dW, x, dy)",
        wrong="np.add.at(dW, x, dy)\n    dW[0] = 0",
        sentence="Label 0 is taken for padding, and its row never learns.",
        hint="Does the forward pass treat label 0 unlike the others?",
        cure="Leave a row out only where forward leaves it out.",
        hides="No label 0.",
        hidden=(Where(inputs={"x": lambda x: np.maximum(x, 1)}),),
    ),
    Mistake(
        dropout,
        "mask_not_applied",
        step="np.where(mask, dy / (1 - rate), 0)",
        wrong="dy / (1 - rate)",
        sentence="What was dropped had no part in the loss, and gets a gradient all the same.",
        hint="Nudge an entry that was dropped: does the loss move?",
        cure="The mask of the forward pass, on the way back too.",
        hides="Nothing dropped.",
        hidden=(Where(inputs={"mask": ones}),),
    ),
    Mistake(
        dropout,
        "scale_forgotten",
        step="np.where(mask, dy / (1 - rate), 0)",
        wrong="np.where(mask, dy, 0)",
        sentence="What was kept was scaled up by 1/(1 − q), and its gradient isn't.",
        hint="What is ∂y/∂x where the mask is 1?",
        cure="Divide by 1 − q.",
        hides="q = 0.",
        hidden=(Where(options={"rate": 0.0}),),
    ),
    Mistake(
        dropout,
        "another_mask",
        step="np.where(mask, dy / (1 - rate), 0)",
        wrong="np.where(np.random.default_rng(0).random(dy.shape) >= rate, dy / (1 - rate), 0)",
        sentence="The way back draws a mask of its own.",
        hint="Which entries took part in this loss?",
        cure="Keep the mask of the forward pass in the cache.",
        hides="q = 0 with nothing dropped.",
        hidden=(Where(options={"rate": 0.0}, inputs={"mask": ones}),),
    ),
)
