"""How people write the operations that need no declaration: CS231n's layers and losses, as rows of data.

A row says what the functions of that name take, in which shapes, and which known operation they compute. Rows
with one name are tried in turn: the first whose parameters fit, and whose forward pass takes the shapes.
Sources: the assignments of Stanford's CS231n, *Deep Learning for Computer Vision* (2016 to 2024), whose
skeletons fix the names and the order of arguments; the formulas are the students' own.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from properties.declaration import Argument, Convention, Counterpart
from reference.operations.operation import Input

Sizes = Mapping[str, int]
Options = Mapping[str, Any]

EPS = (1e-5, 1e-3)


def shapes(**axes: str | Input) -> dict[str, Input]:
    """Inputs by name, of real numbers unless said otherwise."""
    return {name: Input(one) if isinstance(one, str) else one for name, one in axes.items()}


def windows(sizes: Sizes, options: Options) -> bool:
    """Whether the windows of a convolution fill the padded image: (H + 2p - HH) % s = 0 in both directions."""
    rests = [sizes[side] + 2 * options["pad"] - sizes[2 * side] for side in "hw"]
    return all(rest >= 0 and rest % options["stride"] == 0 for rest in rests)


def pools(sizes: Sizes, options: Options) -> bool:
    """Whether the windows of a pooling fill the image, without padding."""
    rests = sizes["h"] - options["pool_height"], sizes["w"] - options["pool_width"]
    return all(rest >= 0 and rest % options["stride"] == 0 for rest in rests)


def pools_after_conv(sizes: Sizes, options: Options) -> bool:
    """Whether both fit, the pooling on what the convolution gives. The two strides are one here."""
    if not windows(sizes, options):
        return False
    after = {
        side: 1 + (sizes[side] + 2 * options["pad"] - sizes[2 * side]) // options["stride"] for side in "hw"
    }
    return pools(after, options)


def _dict(*keys: str) -> dict[str, str]:
    """A dict of options, each under its own name."""
    return {key: key for key in keys}


CONV = shapes(x="n c h w", w="f c hh ww", b="f")
CONV_SIZES = {
    "n": (1, 2, 3),
    "c": (1, 2, 3),
    "f": (1, 2, 3, 4),
    "h": (3, 4, 5, 6),
    "w": (3, 4, 5, 7),
    "hh": (1, 2, 3),
    "ww": (1, 2, 3),
}
CONV_KNOWN = Counterpart("conv2d", options={"stride": "stride", "padding": "pad"}, fixed={"dilation": 1})
STRIDES = {"stride": (1, 2, 3), "pad": (0, 1, 2)}
POOL = {"pool_height": (2, 1, 3), "pool_width": (2, 1, 3), "stride": (2, 1, 3)}
NORM = shapes(x="n d", gamma="d", beta="d")
SPATIAL_NORM = shapes(x="n c h w", gamma="c", beta="c")
GROUP_NORM = shapes(x="n g*c h w", gamma="1 g*c 1 1", beta="1 g*c 1 1")
IMAGES = {"n": (1, 2, 3), "c": (1, 2, 3), "h": (1, 2, 3), "w": (1, 2, 4)}
AFFINE = shapes(x="n d", w="d m", b="m")
OF_IMAGES = shapes(x="n c h w", w="c*h*w m", b="m")
RNN_STEP = shapes(x="n d", prev_h="n h", Wx="d h", Wh="h h", b="h")
RNN = shapes(x="n t d", h0="n h", Wx="d h", Wh="h h", b="h")
LSTM_STEP = shapes(x="n d", prev_h="n h", prev_c="n h", Wx="d 4*h", Wh="h 4*h", b="4*h")
LSTM = shapes(x="n t d", h0="n h", Wx="d 4*h", Wh="h 4*h", b="4*h")
SEQUENCES = {"n": (1, 2, 3), "t": (1, 2, 3, 5), "d": (1, 2, 3, 4), "h": (1, 2, 3)}
LABELS = Input("n", "labels", below="c")
SCORES = shapes(x="n c", y=LABELS)
CLASSIFIER = shapes(W="d c", X=Input("n d", constant=True), y=LABELS)

TRAIN = {"mode": ("train",)}
EPS_ALONE = {"eps": "eps"}

_loss = partial(Convention, kind="value_and_gradient")


def _norms(
    names: tuple[str, ...],
    inputs: Mapping[str, Input],
    known: str,
    options: Mapping[str, tuple[Any, ...]],
    sizes: Mapping[str, tuple[int, ...]],
) -> tuple[Convention, ...]:
    """A normalisation whose ε is in a dict, an argument of its own, or the usual 1e-5 in the code."""
    keys = tuple(options)
    takes: tuple[tuple[tuple[Argument, ...], tuple[str, ...]], ...] = (
        ((*inputs, _dict(*keys)), keys),
        ((*inputs, "eps"), ("eps",)),
        (tuple(inputs), ()),
    )
    return tuple(
        Convention(
            names,
            inputs,
            arguments,
            {key: options[key] for key in drawn},
            sizes,
            counterpart=Counterpart(
                known,
                options=EPS_ALONE if "eps" in drawn else {},
                fixed={} if "eps" in drawn else {"eps": 1e-5},
            ),
        )
        for arguments, drawn in takes
    )


CONVENTIONS: tuple[Convention, ...] = (
    # --- layers.py of the second assignment
    Convention(
        ("affine", "fc", "dense", "linear"),
        OF_IMAGES,
        sizes=IMAGES,
        counterpart=Counterpart("dense_of_images"),
    ),
    Convention(("affine", "fc", "dense", "linear"), AFFINE, counterpart=Counterpart("dense")),
    Convention(("linear",), shapes(x="n d", w="m d", b="m"), counterpart=Counterpart("linear")),
    Convention(("relu",), shapes(x="n d"), counterpart=Counterpart("relu")),
    Convention(("sigmoid",), shapes(x="n d"), counterpart=Counterpart("sigmoid")),
    Convention(("tanh",), shapes(x="n d"), counterpart=Counterpart("tanh")),
    *_norms(("batchnorm", "bn"), NORM, "batch_norm", {**TRAIN, "eps": EPS}, {}),
    *_norms(("layernorm", "ln"), NORM, "layer_norm", {"eps": EPS}, {}),
    *_norms(("spatial_batchnorm",), SPATIAL_NORM, "spatial_batch_norm", {**TRAIN, "eps": EPS}, IMAGES),
    Convention(
        ("spatial_groupnorm", "spatial_group_norm"),
        GROUP_NORM,
        (*GROUP_NORM, "G", _dict("eps")),
        {"G": (1, 2, 3), "eps": EPS},
        {**IMAGES, "g": (1, 2, 3)},
        lambda sizes, options: sizes["g"] == options["G"],
        Counterpart("spatial_group_norm", options={"groups": "G", "eps": "eps"}),
    ),
    Convention(
        ("dropout",),
        shapes(x="n d"),
        ("x", _dict("mode", "p", "seed")),
        {"mode": ("train", "test"), "p": (0.5, 0.25, 0.8), "seed": (7, 8)},
    ),
    Convention(
        ("conv",),
        CONV,
        (*CONV, _dict("stride", "pad")),
        STRIDES,
        CONV_SIZES,
        windows,
        CONV_KNOWN,
    ),
    Convention(
        ("conv",),
        CONV,
        (*CONV, "stride", "pad"),
        STRIDES,
        CONV_SIZES,
        windows,
        CONV_KNOWN,
    ),
    Convention(
        ("max_pool", "maxpool"),
        shapes(x="n c h w"),
        ("x", _dict("pool_height", "pool_width", "stride")),
        POOL,
        {**IMAGES, "h": (2, 3, 4, 5), "w": (2, 3, 4, 6)},
        pools,
        Counterpart(
            "max_pool2d",
            options={"kernel": ("pool_height", "pool_width"), "stride": "stride"},
            fixed={"padding": 0, "ceil": False},
        ),
    ),
    _loss(("softmax_loss",), SCORES, counterpart=Counterpart("softmax_cross_entropy")),
    _loss(("svm_loss",), SCORES, counterpart=Counterpart("multiclass_hinge")),
    # --- layer_utils.py: two or three layers in one
    Convention(("affine_relu",), OF_IMAGES, sizes=IMAGES),
    Convention(("affine_relu",), AFFINE),
    Convention(("conv_relu",), CONV, (*CONV, _dict("stride", "pad")), STRIDES, CONV_SIZES, windows),
    Convention(
        ("conv_bn_relu",),
        {**CONV, **shapes(gamma="f", beta="f")},
        (*CONV, "gamma", "beta", _dict("stride", "pad"), _dict("mode", "eps")),
        {**STRIDES, **TRAIN, "eps": EPS},
        CONV_SIZES,
        windows,
    ),
    Convention(
        ("conv_relu_pool",),
        CONV,
        (*CONV, _dict("stride", "pad"), _dict("pool_height", "pool_width", "stride")),
        {**STRIDES, **POOL},
        CONV_SIZES,
        pools_after_conv,
    ),
    # --- rnn_layers.py of the third assignment
    Convention(("rnn_step",), RNN_STEP, sizes=SEQUENCES, counterpart=Counterpart("rnn_step")),
    Convention(("rnn",), RNN, sizes=SEQUENCES, counterpart=Counterpart("rnn")),
    Convention(("lstm_step",), LSTM_STEP, sizes=SEQUENCES, counterpart=Counterpart("lstm_step")),
    Convention(("lstm",), LSTM, sizes=SEQUENCES, counterpart=Counterpart("lstm")),
    Convention(
        ("word_embedding", "embedding"),
        shapes(x=Input("n t", "labels", below="v"), W="v d"),
        counterpart=Counterpart("embedding"),
    ),
    Convention(
        ("temporal_affine",),
        shapes(x="n t d", w="d m", b="m"),
        sizes=SEQUENCES,
        counterpart=Counterpart("temporal_dense"),
    ),
    _loss(
        ("temporal_softmax_loss",),
        shapes(x="n t v", y=Input("n t", "labels", below="v"), mask=Input("n t", "mask")),
        counterpart=Counterpart("temporal_softmax_loss"),
    ),
    # --- the linear classifiers of the first assignment
    _loss(
        ("softmax_loss", "svm_loss"),
        CLASSIFIER,
        (*CLASSIFIER, "reg"),
        {"reg": (0.0, 0.1)},
    ),
)
"""The rows. Where several fit, the first whose forward pass takes its shapes is meant."""
