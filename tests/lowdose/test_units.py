import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowdose.errors import ParameterError
from lowdose.units import UNITS, canonical_unit, convert

SPELLINGS = [
    ("nm", "nm"),
    (" nm ", "nm"),
    ("NM", "nm"),
    ("nanometer", "nm"),
    ("Nanometers", "nm"),
    ("µm", "um"),  # micro sign
    ("μm", "um"),  # Greek letter mu
    ("\\u00B5m", "um"),  # as ImageJ escapes it
    ("micron", "um"),
    ("Microns", "um"),
    ("µs", "us"),
    ("Å", "angstrom"),  # A with ring
    ("\u212b", "angstrom"),  # Angstrom sign
    ("\\u00C5", "angstrom"),
    ("A", "angstrom"),
    ("Angstrom", "angstrom"),
    ("ångström", "angstrom"),
    ("sec", "s"),
    ("Seconds", "s"),
    ("inch", "inch"),
    ("in", "inch"),
    ("1/nm", "1/nm"),
    ("nm^-1", "1/nm"),
    ("1/Å", "1/angstrom"),
    ("mrad", "mrad"),
    ("m\x00\x00", "m"),
]


@pytest.mark.parametrize(("text", "expected"), SPELLINGS)
def test_every_spelling_has_one_canonical_form(text, expected):
    assert canonical_unit(text) == expected


@pytest.mark.parametrize(
    "text", [None, "", "pixel", "px", "counts", "nmm", "%", "a.u."]
)
def test_what_is_no_unit_gives_none(text):
    assert canonical_unit(text) is None


@pytest.mark.parametrize("unit", UNITS)
def test_a_canonical_unit_is_its_own_canonical_form(unit):
    assert canonical_unit(unit) == unit


@pytest.mark.parametrize(
    ("value", "unit", "to", "expected"),
    [
        (1, "nm", "angstrom", 10),
        (250, "pm", "nm", 0.25),
        (0.004, "µm", "nm", 4),
        (1, "inch", "cm", 2.54),
        (90, "s", "min", 1.5),
        (1, "1/angstrom", "1/nm", 10),
        (2, "rad", "mrad", 2000),
    ],
)
def test_values_are_converted(value, unit, to, expected):
    assert convert(value, unit, to) == pytest.approx(expected, rel=1e-12)


@given(
    st.floats(1e-6, 1e6), st.sampled_from(sorted(UNITS)), st.sampled_from(sorted(UNITS))
)
def test_a_conversion_can_be_undone_or_is_refused(value, unit, to):
    if UNITS[unit][0] == UNITS[to][0]:
        assert convert(convert(value, unit, to), to, unit) == pytest.approx(value)
    else:
        with pytest.raises(ParameterError, match=f"Cannot convert {unit}"):
            convert(value, unit, to)


@given(st.floats(allow_nan=False), st.sampled_from(sorted(UNITS)))
def test_the_same_unit_keeps_every_digit(value, unit):
    assert convert(value, unit, unit) == value


def test_an_unknown_unit_is_refused_with_the_nearest():
    with pytest.raises(ParameterError, match=r"'nmm' is not a unit.*'nm'"):
        convert(1, "nmm", "nm")
