"""Numbers are written the same way everywhere."""

import math

import pytest

from lesson.page import in_html
from lesson.wording import UNDEFINED, in_units, number, percent, power, rounding, short, signed, unit


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (0.020213, "0.02021"),
        (-0.000123456, "−0.0001235"),
        (0.00001, "1.000\u00a0×\u00a010⁻⁵"),
        (-3.2e-17, "−3.200\u00a0×\u00a010⁻¹⁷"),
        (72.924, "72.92"),
        (99999.6, "100000"),
        (123456.0, "1.235\u00a0×\u00a010⁵"),
        (math.nan, UNDEFINED),
    ],
)
def test_a_number_has_four_significant_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_a_sign_is_printed_on_both_sides_of_0_and_not_at_0() -> None:
    assert [signed(v, 2) for v in (1.0, 0.0, -1.0)] == ["+1.0", "0", "−1.0"]


def test_rounding_is_shown_as_an_upper_power_of_ten_and_a_real_difference_as_a_number() -> None:
    assert [rounding(v) for v in (0.0, 3e-17, 2e-15, 0.012)] == [
        "0",
        "≤\u00a010⁻¹⁵",
        "≤\u00a010⁻¹⁴",
        "0.012",
    ]


def test_cells_are_whole_numbers_of_a_unit_in_which_the_largest_has_three_digits() -> None:
    assert [in_units(v, unit(0.00401)) for v in (0.00401, -0.00131, 0.0, 1e-7)] == ["+401", "−131", "0", "+0"]
    assert power(unit(0.00401)) == "10⁻⁵"


def test_shares_and_ratios_are_short() -> None:
    assert (percent(0.4289), percent(0.0119, 1), short(1 - 1e-9), short(math.nan)) == (
        "43\u00a0%",
        "1.2\u00a0%",
        "1.00",
        UNDEFINED,
    )


def test_formulas_in_a_text_get_italics_and_subscripts_and_words_do_not() -> None:
    assert (
        in_html("the error of o_j, a loss' <b>")
        == "the error of <var>o</var><sub>j</sub>, a loss\u2019 &lt;b&gt;"
    )
    assert in_html("∂o_ij/∂w is") == (
        '<span class="whole">∂<var>o</var><sub>ij</sub>/∂<var>w</var></span> is'
    )
