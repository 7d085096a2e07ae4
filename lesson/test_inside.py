"""The paths inside a layer add up to the measured slope, and without one of them they don't."""

import pytest

from lesson.inside import inside

INSIDE = inside()


@pytest.mark.parametrize("name", INSIDE)
def test_all_paths_together_are_the_slope_and_each_is_missed(name: str) -> None:
    layer = INSIDE[name]
    assert len(layer.paths) == 3
    assert abs(layer.without(0) - layer.measured) <= layer.error
    assert layer.total == layer.without(0)
    for dropped in (1, 2, 3):
        assert abs(layer.without(dropped) - layer.measured) > 1000 * layer.error
