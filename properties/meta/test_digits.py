"""The bundled digits are the whole data set, and the inputs are what their docstring says."""

import numpy as np

from properties.digits import digit_labels, digits


def test_all_images_are_there_with_the_published_number_of_each_class() -> None:
    inputs, targets = digits()
    assert inputs.shape == (1797, 128)
    assert targets.shape == (1797, 10)
    assert inputs.dtype == targets.dtype == np.float64
    assert np.bincount(digit_labels()).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_targets_are_one_hot_rows_of_the_labels() -> None:
    _, targets = digits()
    assert np.array_equal(np.flatnonzero(targets), 10 * np.arange(1797) + digit_labels())
    assert np.array_equal(targets.sum(axis=1), np.ones(1797))


def test_pixels_and_differences_stay_in_range_and_lose_nothing_in_float32() -> None:
    inputs, _ = digits()
    pixels, differences = inputs[:, :64], inputs[:, 64:]
    assert (pixels.min(), pixels.max()) == (0, 1)
    assert differences.min() == 0
    assert differences.max() <= 2
    assert np.array_equal(inputs.astype(np.float32), inputs)


def test_differences_of_the_first_image_are_those_worked_out_by_hand() -> None:
    image, differences = digits()[0][0].reshape(2, 8, 8) * 16
    assert image[:2].tolist() == [[0, 0, 5, 13, 9, 1, 0, 0], [0, 0, 13, 15, 10, 15, 5, 0]]
    assert differences[0].tolist() == [0, 5, 16, 6, 9, 15, 5, 0]


def test_differences_at_the_last_column_and_row_look_one_way_only() -> None:
    image, differences = np.moveaxis(digits()[0].reshape(-1, 2, 8, 8), 1, 0)
    assert np.array_equal(differences[:, :-1, -1], abs(image[:, :-1, -1] - image[:, 1:, -1]))
    assert np.array_equal(differences[:, -1, :-1], abs(image[:, -1, :-1] - image[:, -1, 1:]))
    assert not differences[:, -1, -1].any()


def test_changing_the_arrays_leaves_the_next_ones_unchanged() -> None:
    arrays = (*digits(), digit_labels())
    copies = [array.copy() for array in arrays]
    for array in arrays:
        array.fill(3)
    again = (*digits(), digit_labels())
    assert all(np.array_equal(new, copy) for new, copy in zip(again, copies, strict=True))
