"""The bundled backward pass has every property of a network's gradient."""

import pytest

from properties.network import PROPERTIES
from properties.search import Effort, Property, Verdict, searched
from properties.subjects import Bundled, Subject

SUBJECT = Bundled()


@pytest.mark.parametrize("one", PROPERTIES, ids=lambda one: one.name)
def test_manual_backprop_has_the_property(one: Property[Subject], effort: Effort) -> None:
    record = searched(one, SUBJECT, effort)
    example = record.example.as_python() if record.example is not None else ""
    assert record.verdict is Verdict.PASS, f"{one.sentence}\n{record.message}\n{example}"
    assert record.cases > 0


def test_every_property_has_a_name_of_its_own_and_a_sentence() -> None:
    assert len({one.name for one in PROPERTIES}) == len(PROPERTIES)
    assert all(one.sentence for one in PROPERTIES)
