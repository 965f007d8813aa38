"""Conversion between units of one quantity. Pure."""

from collections.abc import Mapping
from fractions import Fraction

_F = Fraction

LINEAR: Mapping[str, Mapping[str, Fraction]] = {
    "length": {
        "m": _F(1), "km": _F(1000), "cm": _F(1, 100), "mm": _F(1, 1000), "mi": _F(1609344, 1000),
        "yd": _F(9144, 10000), "ft": _F(3048, 10000), "in": _F(254, 10000), "nmi": _F(1852),
    },
    "mass": {
        "kg": _F(1), "g": _F(1, 1000), "mg": _F(1, 10**6), "t": _F(1000), "lb": _F(45359237, 10**8),
        "oz": _F(28349523125, 10**12),
    },
    "time": {
        "s": _F(1), "ms": _F(1, 1000), "min": _F(60), "h": _F(3600), "d": _F(86400), "week": _F(604800),
    },
    "volume": {
        "l": _F(1), "ml": _F(1, 1000), "cl": _F(1, 100), "m3": _F(1000), "gal": _F(3785411784, 10**9),
        "pt": _F(473176473, 10**9), "cup": _F(2365882365, 10**10),
    },
    "area": {
        "m2": _F(1), "km2": _F(10**6), "cm2": _F(1, 10**4), "ha": _F(10**4), "acre": _F(40468564224, 10**7),
        "ft2": _F(9290304, 10**8),
    },
    "speed": {
        "m/s": _F(1), "km/h": _F(5, 18), "mph": _F(44704, 10**5), "kn": _F(463, 900),
    },
    "data": {
        "b": _F(1), "kb": _F(1000), "mb": _F(10**6), "gb": _F(10**9), "tb": _F(10**12),
        "kib": _F(1024), "mib": _F(1024**2), "gib": _F(1024**3), "tib": _F(1024**4),
    },
}  # fmt: skip
"""How many base units one unit is, by quantity."""

ALIASES: Mapping[str, str] = {
    "meter": "m", "meters": "m", "metre": "m", "metres": "m", "kilometer": "km", "kilometers": "km",
    "kilometre": "km", "kilometres": "km", "centimeter": "cm", "centimeters": "cm", "mile": "mi",
    "miles": "mi", "yard": "yd", "yards": "yd", "foot": "ft", "feet": "ft", "inch": "in", "inches": "in",
    "kilogram": "kg", "kilograms": "kg", "gram": "g", "grams": "g", "tonne": "t", "tonnes": "t",
    "pound": "lb", "pounds": "lb", "lbs": "lb", "ounce": "oz", "ounces": "oz", "second": "s",
    "seconds": "s", "sec": "s", "minute": "min", "minutes": "min", "hour": "h", "hours": "h", "day": "d",
    "days": "d", "weeks": "week", "liter": "l", "liters": "l", "litre": "l", "litres": "l",
    "milliliter": "ml", "milliliters": "ml", "gallon": "gal", "gallons": "gal", "pint": "pt", "pints": "pt",
    "cups": "cup", "hectare": "ha", "hectares": "ha", "acres": "acre", "kmh": "km/h", "kph": "km/h",
    "knot": "kn", "knots": "kn", "byte": "b", "bytes": "b", "celsius": "c", "°c": "c", "fahrenheit": "f",
    "°f": "f", "kelvin": "k",
}  # fmt: skip

_TEMPERATURES = frozenset({"c", "f", "k"})
_FREEZING_KELVIN = _F(27315, 100)
_SHORTEST = 12
"""Significant digits of the answer."""


class BadUnit(ValueError):
    """The units are unknown or measure different things; the message says which."""


def convert(value: float, source: str, target: str) -> str:
    """Convert a value and write it with the target unit as it was given, such as `3.5 km`. Raises BadUnit."""
    start, end = _canonical(source), _canonical(target)
    number = Fraction(str(value))
    if start in _TEMPERATURES and end in _TEMPERATURES:
        return f"{_number(_temperature(number, start, end))} {target.strip()}"
    for units in LINEAR.values():
        if start in units and end in units:
            return f"{_number(number * units[start] / units[end])} {target.strip()}"
    raise BadUnit(f"{source} and {target} do not measure the same thing")


def _canonical(unit: str) -> str:
    name = unit.strip().lower()
    name = ALIASES.get(name, name)
    if name in _TEMPERATURES or any(name in units for units in LINEAR.values()):
        return name
    known = ", ".join(name for units in LINEAR.values() for name in units)
    raise BadUnit(f"the unit {unit!r} is not known; known: {known}, c, f, k")


def _temperature(value: Fraction, source: str, target: str) -> Fraction:
    kelvin = {
        "c": value + _FREEZING_KELVIN,
        "f": (value - 32) * _F(5, 9) + _FREEZING_KELVIN,
        "k": value,
    }[source]
    return {
        "c": kelvin - _FREEZING_KELVIN,
        "f": (kelvin - _FREEZING_KELVIN) * _F(9, 5) + 32,
        "k": kelvin,
    }[target]


def _number(value: Fraction) -> str:
    if value.denominator == 1 and abs(value) < 10**15:
        return str(value.numerator)
    try:
        return f"{float(value):.{_SHORTEST}g}"
    except OverflowError as error:
        raise BadUnit("the result is out of range") from error
