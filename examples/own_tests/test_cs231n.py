"""Layers and losses of CS231n in the tests of one's own solution, which is `cs231n_layers.py` here."""

import numpy as np
import pytest
from cs231n_layers import affine_backward, affine_forward, relu_backward, relu_forward, softmax_loss

from harness import assert_gradient, verify


@pytest.mark.parametrize("layer", ["affine", "relu"])
def test_a_layer_goes_back_as_it_should(layer):
    pair = {"affine": (affine_forward, affine_backward), "relu": (relu_forward, relu_backward)}[layer]
    axes = {"affine": {"x": "n d", "w": "d m", "b": "m"}, "relu": {"x": "n d"}}[layer]
    verify(
        *pair, operation=axes, reference={"affine": "dense"}.get(layer, layer), cases=10, seed=1
    ).raise_for_failure()


def test_a_loss_is_right_for_the_scores_of_a_batch():
    x, y = np.linspace(-1, 1, 12).reshape(3, 4), np.array([0, 3, 1])
    assert_gradient(lambda x: softmax_loss(x, y)[0], lambda x: softmax_loss(x, y)[1], x)


def test_a_two_layer_net_is_right_by_each_of_its_parameters():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((5, 4)), rng.integers(0, 3, 5)
    w2 = rng.standard_normal((6, 3))

    def loss(w1):
        hidden, _ = relu_forward(x @ w1)
        return softmax_loss(hidden @ w2, y)[0]

    def gradient(w1):
        hidden, cache = relu_forward(x @ w1)
        _, dscores = softmax_loss(hidden @ w2, y)
        return x.T @ relu_backward(dscores @ w2.T, cache)

    assert_gradient(loss, gradient, rng.standard_normal((4, 6)))
