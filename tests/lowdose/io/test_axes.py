import math

import pytest

from lowdose.io.axes import (
    Claim,
    bare_claims,
    believe,
    is_depth,
    plausible_print_resolution,
)
from lowdose.micrograph import Axis


@pytest.mark.parametrize("unit", ["nm", "Å", "\\u00B5m", "µm", "s", "1/nm", "mrad"])
def test_a_sound_claim_is_believed(unit):
    (axis,), problems = believe([Claim(label="x", spacing=2, unit=unit, origin=3)])
    assert axis.calibrated
    assert (axis.spacing, axis.origin) == (2.0, 3.0)
    assert problems == []


@pytest.mark.parametrize("unit", [None, "", "pixel", "Pixels", " px ", "\x00", "None"])
def test_a_spacing_without_a_unit_means_nothing_and_is_no_problem(unit):
    claim = Claim(label="x", spacing=1.0, unit=unit)
    assert believe([claim]) == ((Axis(label="x"),), [])


def test_a_missing_spacing_is_no_problem():
    assert believe([Claim(label="x", unit="nm")]) == ((Axis(label="x"),), [])


@pytest.mark.parametrize("spacing", [0.0, -1.0, math.nan, math.inf, -math.inf])
def test_an_impossible_spacing_is_left_out_and_named(spacing):
    axes, problems = believe([Claim(label="x", spacing=spacing, unit="nm")])
    assert axes == (Axis(label="x"),)
    assert problems == [f"a spacing of {spacing:g} nm is impossible"]


@pytest.mark.parametrize(("spacing", "unit"), [(1.5, "m"), (200, "cm"), (2e9, "nm")])
def test_a_pixel_of_a_metre_is_left_out_and_named(spacing, unit):
    (axis,), problems = believe([Claim(label="x", spacing=spacing, unit=unit)])
    assert axis.spacing is None
    assert "too large" in problems[0]


def test_an_hour_between_frames_is_not_too_large():
    (axis,), _ = believe([Claim(label="t", spacing=3600, unit="s")])
    assert axis.spacing == 3600


def test_a_foreign_unit_is_left_out_and_named():
    axes, problems = believe([Claim(label="x", spacing=1, unit="furlong")])
    assert axes == (Axis(label="x"),)
    assert "furlong" in problems[0]


def test_what_the_reader_doubts_is_left_out_with_its_reason():
    claim = Claim(label="x", spacing=1, unit="nm", doubt="nobody knows")
    assert believe([claim]) == ((Axis(label="x"),), ["nobody knows"])


def test_a_problem_of_both_axes_of_an_image_is_told_once():
    claims = [Claim(label=label, spacing=-1, unit="nm") for label in "yx"]
    assert len(believe(claims)[1]) == 1


def test_an_origin_that_is_no_number_becomes_zero():
    claim = Claim(label="x", spacing=1, unit="nm", origin=math.nan)
    assert believe([claim])[0][0].origin == 0.0


def test_the_claims_of_a_file_that_says_nothing_have_the_usual_labels():
    assert [c.label for c in bare_claims(4)] == ["t", "z", "y", "x"]
    assert all(c.spacing is None for c in bare_claims(4))


@pytest.mark.parametrize("dots_per_inch", [1, 72, 96, 150, 300, 600, 1200, 2400])
def test_the_resolution_of_a_printer_is_no_pixel_size(dots_per_inch):
    assert not plausible_print_resolution(1 / dots_per_inch, "inch")


@pytest.mark.parametrize(("spacing", "unit"), [(1e-7, "cm"), (2e-4, "cm"), (1e-8, "m")])
def test_pixels_of_microscopes_are_plausible(spacing, unit):
    assert plausible_print_resolution(spacing, unit)


@pytest.mark.parametrize(
    ("axis", "expected"),
    [
        (Axis(label="z"), True),
        (Axis(label="t"), False),
        (Axis(label="t", spacing=1, unit="nm"), True),
        (Axis(label="z", spacing=1, unit="s"), False),
        (Axis(label="section"), False),
    ],
)
def test_the_unit_and_then_the_label_say_whether_an_axis_is_a_depth(axis, expected):
    assert is_depth(axis) is expected
