"""Real input: 1797 handwritten digits, 128 numbers each; source and licence are in `data/README.md`."""

import gzip
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

SIDE = 8
PIXELS = SIDE * SIDE
CLASSES = 10
DARKEST = 16


@cache
def _rows() -> NDArray[np.int64]:
    """One row an image: 64 pixels from 0 to 16, then the label."""
    packed = resources.files("properties") / "data" / "digits.csv.gz"
    lines = gzip.decompress(packed.read_bytes()).decode("ascii").splitlines()
    return np.loadtxt(lines, delimiter=",", dtype=np.int64)  # (1797, 65)


def digits() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The images and what was written, in the order of the data set, ready for a 128-64-10 network.

    The first 64 inputs of an image are its pixels p in [0, 1], row by row. The last 64, in that order, are
    how far each pixel is from the next one to the right and the next one below, in [0, 2]:
    |p[r, c] - p[r, c + 1]| + |p[r, c] - p[r + 1, c]|, where a difference that would leave the image is 0.
    All are multiples of 1/16, so float32 holds them without rounding.

    Returns:
        inputs (1797, 128) and one-hot targets (1797, 10), both new float64 arrays.
    """
    images = _rows()[:, :PIXELS].reshape(-1, SIDE, SIDE) / DARKEST  # (1797, 8, 8)
    differences = np.zeros_like(images)  # (1797, 8, 8)
    differences[:, :, :-1] += np.abs(np.diff(images, axis=2))
    differences[:, :-1, :] += np.abs(np.diff(images, axis=1))
    inputs = np.concatenate([images, differences], axis=1).reshape(-1, 2 * PIXELS)  # (1797, 128)
    return inputs, np.eye(CLASSES)[digit_labels()]


def digit_labels() -> NDArray[np.int64]:
    """The digit written in each image, 0 to 9: a new array of shape (1797,)."""
    return _rows()[:, PIXELS].copy()
