"""How numbers are written: three or four significant digits, real minus signs, and rounding named as such."""

import math

UNDEFINED = "—"
ROUNDING = 1e-12  # below this, a difference of numbers near 1 is rounding and is shown as a power of ten
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
LEAST, MOST = 1e-4, 1e5  # between these a number is written without a power of ten


def power(exponent: int) -> str:
    """10 with a raised exponent."""
    return f"10{str(exponent).translate(SUPERSCRIPTS)}"


def subscript(number: int) -> str:
    """The digits lowered: o₁₀."""
    return str(number).translate(SUBSCRIPTS)


def number(value: float, digits: int = 4) -> str:
    """A number to so many significant digits; NaN, which stands for "not defined", is a dash."""
    if math.isnan(value):
        return UNDEFINED
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    if LEAST <= abs(value) < MOST:
        text = f"{float(f'{mantissa}e{exponent}'):.{max(digits - 1 - int(exponent), 0)}f}"
    else:
        text = f"{mantissa}\u00a0×\u00a0{power(int(exponent))}"
    return text.replace("-", "−")


def signed(value: float, digits: int = 4) -> str:
    """A number with its sign printed, + as well."""
    return ("+" if value > 0 else "") + number(value, digits)


def rounding(value: float) -> str:
    """A relative difference: an upper power of ten where it is no more than rounding, else two digits."""
    if value == 0 or value > ROUNDING or math.isnan(value):
        return number(value, 2)
    return f"≤\u00a0{power(max(math.ceil(math.log10(value)), -15))}"


def short(value: float) -> str:
    """A cosine or a ratio, to two decimals; 1.00 only for what rounds to it."""
    return UNDEFINED if math.isnan(value) else f"{value:.2f}".replace("-", "−")


def unit(largest: float) -> int:
    """The power of ten in which the largest number has three digits before the point."""
    return math.floor(math.log10(largest)) - 2 if largest else 0


def in_units(value: float, exponent: int) -> str:
    """A whole number of units of 10^exponent, signed; what is not 0 but rounds to it keeps its sign."""
    if value == 0:
        return "0"
    return ("+" if value > 0 else "−") + f"{abs(value) / 10.0**exponent:.0f}"


def percent(share: float, decimals: int = 0) -> str:
    """A share in percent."""
    return f"{100 * share:.{decimals}f}\u00a0%"
