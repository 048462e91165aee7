import numpy as np
import pytest
from ase import Atoms

from lowdose.simulation.contrast import column_contrast, contrast_class
from lowdose.simulation.specimens.specimen import Field, Specimen

SIZE, PIXEL = 128, 0.02
COLUMNS = [(12 * row + 30, 12 * column + 26) for row in range(6) for column in range(7)]


def lattice(places, symbol="Pt"):
    """Return atoms at these rows and columns [px] of the image."""
    side = SIZE * PIXEL + 1
    y, x = (np.array(places).T - (SIZE - 1) / 2) * PIXEL * 10
    positions = np.column_stack([x + 5 * side, y + 5 * side, np.ones_like(x)])
    return Specimen(
        atoms=Atoms([symbol] * len(places), positions, cell=[10 * side, 10 * side, 5]),
        kind="test",
        parameters=None,
        seed=0,
        field=Field(height=SIZE * PIXEL, width=SIZE * PIXEL, margin=0.5),
    )


def dots(places, height):
    y, x = np.mgrid[:SIZE, :SIZE]
    image = np.ones((SIZE, SIZE))
    for row, column in places:
        image += height * np.exp(-((y - row) ** 2 + (x - column) ** 2) / 8)
    return image


def contrast(image, specimen, vacuum=1.0):
    return column_contrast(image, specimen, pixel_size=PIXEL, vacuum=vacuum)


def test_its_sign_says_whether_columns_are_bright_and_its_size_how_much():
    specimen = lattice(COLUMNS)
    bright = contrast(dots(COLUMNS, 0.5), specimen)
    assert bright > 0.1
    assert contrast(dots(COLUMNS, -0.5), specimen) == pytest.approx(-bright)
    assert contrast(dots(COLUMNS, 0.1), specimen) == pytest.approx(bright / 5)
    between = [(row + 6, column + 6) for row, column in COLUMNS]
    assert contrast(dots(between, 0.5), specimen) < 0


def test_only_what_goes_with_the_columns_counts():
    specimen = lattice(COLUMNS)
    image = dots(COLUMNS, 0.5)
    expected = contrast(image, specimen)
    slope = np.linspace(-0.5, 0.5, SIZE)
    assert contrast(image + slope, specimen) == pytest.approx(expected, rel=0.02)
    assert contrast(0.45 * image, specimen, 0.45) == pytest.approx(expected)
    assert contrast(image, lattice(COLUMNS, "Cu")) == pytest.approx(expected)
    noise = np.random.default_rng(0).normal(0, 0.1, image.shape)
    assert abs(contrast(1 + noise, specimen)) < 0.1 * expected


def test_dark_field_is_held_against_its_mean():
    specimen = lattice(COLUMNS)
    image = dots(COLUMNS, 0.5) - 1
    assert contrast(image, specimen, 0) == pytest.approx(
        contrast(image / image.mean(), specimen, 0)
    )
    assert contrast(image, specimen, 0) > 0.5


def test_nothing_is_told_without_atoms_or_of_a_flat_image():
    beyond = lattice([(-30, -30), (-20, -20)])
    assert contrast(dots(COLUMNS, 0.5), beyond) is None
    assert contrast(np.ones((SIZE, SIZE)), lattice(COLUMNS)) is None
    assert contrast(np.zeros((SIZE, SIZE)), lattice(COLUMNS), 0) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (-0.2, "black"),
        (-0.02, "intermediate"),
        (0.0, "intermediate"),
        (0.08, "intermediate"),
        (0.11, "white"),
        (None, "none"),
    ],
)
def test_the_classes_follow_it(value, expected):
    assert contrast_class(value) == expected
