"""Operations, a page each: the formula, its derivation, and forward and backward beside each other.

A page stands alone: it imports NumPy and nothing of ours, and `manual-backprop verify` judges it like any other file.
To add one, write it after the model of `layer_norm`, and add it to `PAGES`.
"""

from types import ModuleType

from manual_backprop.operations import (
    attention,
    average_pool2d,
    batch_norm,
    binary_cross_entropy,
    conv2d,
    conv2d_im2col,
    cross_entropy,
    dense,
    dropout,
    elu,
    embedding,
    gelu,
    group_norm,
    gru,
    hinge,
    huber,
    layer_norm,
    leaky_relu,
    log_softmax,
    lstm,
    max_pool2d,
    mse,
    multi_head_attention,
    multiclass_hinge,
    relu,
    residual,
    rms_norm,
    rnn,
    rotary,
    sigmoid,
    silu,
    softmax,
    softmax_cross_entropy,
    softplus,
    tanh,
    tied_weights,
)

PAGES: tuple[ModuleType, ...] = (
    *(dense, residual, tied_weights),
    *(tanh, sigmoid, relu, leaky_relu, elu, softplus, gelu, silu),
    *(softmax, log_softmax),
    *(mse, huber, cross_entropy, softmax_cross_entropy, binary_cross_entropy, hinge, multiclass_hinge),
    *(layer_norm, batch_norm, group_norm, rms_norm),
    *(conv2d, conv2d_im2col, max_pool2d, average_pool2d),
    *(embedding, dropout),
    *(attention, multi_head_attention, rotary),
    *(rnn, lstm, gru),
)
