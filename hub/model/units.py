"""Units that a metric may have: those registered for SenML (RFC 8428, RFC 8798 and later entries), and none at all."""

from difflib import get_close_matches
from typing import Final

#: Unit -> what it measures. The empty unit is for texts and states.
UNITS: Final[dict[str, str]] = {
    "": "no unit",
    # primary
    "m": "metre", "kg": "kilogram", "g": "gram", "s": "second", "A": "ampere", "K": "kelvin", "cd": "candela",
    "mol": "mole", "Hz": "hertz", "rad": "radian", "sr": "steradian", "N": "newton", "Pa": "pascal", "J": "joule",
    "W": "watt", "C": "coulomb", "V": "volt", "F": "farad", "Ohm": "ohm", "S": "siemens", "Wb": "weber",
    "T": "tesla", "H": "henry", "Cel": "degree Celsius", "lm": "lumen", "lx": "lux", "Bq": "becquerel", "Gy": "gray",
    "Sv": "sievert", "kat": "katal", "m2": "square metre", "m3": "cubic metre", "l": "litre",
    "m/s": "metre per second", "m/s2": "metre per square second", "m3/s": "cubic metre per second",
    "l/s": "litre per second", "W/m2": "watt per square metre", "cd/m2": "candela per square metre", "bit": "bit",
    "bit/s": "bit per second", "lat": "degree of latitude", "lon": "degree of longitude", "pH": "acidity",
    "dB": "decibel", "dBW": "decibel relative to 1 W", "Bspl": "bel, sound pressure", "count": "counter value",
    "/": "ratio", "%": "ratio in percent", "%RH": "relative humidity in percent", "%EL": "battery charge in percent",
    "EL": "battery charge in seconds", "1/s": "per second", "1/min": "per minute", "beat/min": "beats per minute",
    "beats": "heart beats", "S/m": "siemens per metre", "B": "byte", "VA": "volt-ampere",
    "VAs": "volt-ampere second", "var": "volt-ampere reactive", "vars": "volt-ampere reactive second",
    "J/m": "joule per metre", "kg/m3": "kilogram per cubic metre", "deg": "degree (angle)", "NTU": "turbidity",
    # secondary
    "ms": "millisecond", "min": "minute", "h": "hour", "MHz": "megahertz", "kW": "kilowatt",
    "kVA": "kilovolt-ampere", "kvar": "kilovar", "Ah": "ampere-hour", "Wh": "watt-hour", "kWh": "kilowatt-hour",
    "varh": "var-hour", "kvarh": "kilovar-hour", "kVAh": "kilovolt-ampere-hour", "Wh/km": "watt-hour per kilometre",
    "KiB": "kibibyte", "GB": "gigabyte", "Mbit/s": "megabit per second", "B/s": "byte per second",
    "MB/s": "megabyte per second", "mV": "millivolt", "mA": "milliampere", "dBm": "decibel relative to 1 mW",
    "ug/m3": "microgram per cubic metre", "mm/h": "millimetre per hour", "m/h": "metre per hour",
    "ppm": "parts per million", "/100": "percent", "/1000": "per mille", "hPa": "hectopascal",
    "mm": "millimetre", "cm": "centimetre", "km": "kilometre", "km/h": "kilometre per hour",
    "ppb": "parts per billion", "ppt": "parts per trillion", "VAh": "volt-ampere-hour", "mg/l": "milligram per litre",
    "ug/l": "microgram per litre", "g/l": "gram per litre",
}  # fmt: skip


def is_unit(text: str) -> bool:
    """Is it a registered unit, or none?"""
    return text in UNITS


def nearest_unit(text: str) -> str | None:
    """The registered unit that ``text`` was probably meant to be."""
    usual = {"C": "Cel", "°C": "Cel", "celsius": "Cel", "degC": "Cel", "percent": "%", "rpm": "1/min"}
    word = text.lower()
    named = (unit for unit, meaning in UNITS.items() if len(word) > 2 and meaning.startswith(word))
    return usual.get(text) or next(named, None) or next(iter(get_close_matches(text, UNITS, n=1, cutoff=0.5)), None)
