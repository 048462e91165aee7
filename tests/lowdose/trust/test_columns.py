"""Columns are found, placed and put on the surface."""

import numpy as np
import pytest

from lowdose.errors import InvalidImageError, ParameterError
from lowdose.metrics.columns import score_columns
from lowdose.micrograph import Calibration, Micrograph
from lowdose.trust.columns import find_columns, place_columns
from lowdose.trust.surface import surface_columns


def lattice(shape, spacing, rng, jitter=1.0, margin=20):
    """Return jittered lattice positions."""
    rows = np.arange(margin, shape[0] - margin, spacing)
    columns = np.arange(margin, shape[1] - margin, spacing)
    points = np.stack(np.meshgrid(rows, columns, indexing="ij"), -1).reshape(-1, 2)
    return points + rng.uniform(-jitter, jitter, points.shape)


def drawn(shape, points, sigma, height=1.0, level=5.0):
    """Draw Gaussian columns."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    image = np.full(shape, level)
    for row, column in points:
        square = (y - row) ** 2 + (x - column) ** 2
        image = image + height * np.exp(-square / (2 * sigma**2))
    return image


@pytest.mark.parametrize("height", [1.0, -1.0])
@pytest.mark.parametrize("sigma", [2.5, 5.0])
def test_columns_are_found_and_placed_to_a_fiftieth_of_a_pixel(rng, sigma, height):
    points = lattice((160, 170), 5.5 * sigma, rng)
    found = find_columns(drawn((160, 170), points, sigma, height))
    scores = score_columns(found.positions, points, tolerance=sigma)
    assert scores.f1 == 1
    assert scores.position_error_px < 0.02
    assert np.sign(found.height).tolist() == [np.sign(height)] * len(points)
    np.testing.assert_allclose(found.sigma, sigma, rtol=0.02)
    np.testing.assert_allclose(found.height, height, rtol=0.02)


def test_the_scale_may_be_given_in_nanometres(rng):
    points = lattice((120, 120), 20, rng)
    image = drawn((120, 120), points, 4.0)
    calibration = Calibration.from_spacing((0.01, 0.01), ("nm", "nm"))
    found = find_columns(Micrograph(image, calibration), scale_nm=0.04)
    assert found.scale == pytest.approx(4)
    assert found.spacing * found.pixel_size == pytest.approx(0.2, rel=0.1)
    np.testing.assert_allclose(found.positions_nm, found.positions * 0.01)
    with pytest.raises(ParameterError, match="pixel size"):
        find_columns(image, scale_nm=0.04)


def test_overlapping_columns_do_not_pull_at_each_other(rng):
    points = lattice((150, 150), 14, rng, jitter=0.5)
    found = find_columns(drawn((150, 150), points, 4.0), scale_px=4.0)
    scores = score_columns(found.positions, points, tolerance=4)
    assert scores.f1 == 1
    assert scores.position_error_px < 0.1


def test_given_points_are_fitted_in_their_order(rng):
    points = lattice((100, 100), 25, rng)
    image = drawn((100, 100), points, 3.0)
    moved = place_columns(image, points[::-1] + 0.7, scale_px=3.0)
    np.testing.assert_allclose(moved.positions, points[::-1], atol=0.02)
    kept = place_columns(image, points + 0.7, scale_px=3.0, move=False)
    np.testing.assert_allclose(kept.positions, points + 0.7)


def test_the_outline_of_a_particle_is_its_surface():
    rows, columns = np.mgrid[:7, :9]
    points = 40 + 20.0 * np.stack([rows.ravel(), columns.ravel()], 1)
    # A vacancy on the outline lays the column behind it bare.
    inner = (rows > 0) & (rows < 6) & (columns > 0) & (columns < 8)
    found = place_columns(drawn((240, 260), points, 4.0), points, scale_px=4.0)
    np.testing.assert_array_equal(surface_columns(found), ~inner.ravel())
    without = np.delete(np.arange(63), 4)
    assert surface_columns(found.only(without))[13 - 1]


def test_columns_beside_the_border_of_the_image_are_no_surface():
    rows, columns = np.mgrid[:6, :6]
    points = 8 + 20.0 * np.stack([rows.ravel(), columns.ravel()], 1)
    found = place_columns(drawn((116, 200), points, 4.0), points, scale_px=4.0)
    surface = surface_columns(found).reshape(6, 6)
    assert surface[1:-1, -1].all()
    assert not surface[0].any()
    assert not surface[:, 0].any()


def test_images_without_columns_are_refused():
    with pytest.raises(InvalidImageError, match="constant"):
        find_columns(np.ones((64, 64)))
    with pytest.raises(InvalidImageError, match=r"no structure|No columns"):
        find_columns(np.linspace(0, 1, 64)[:, None] * np.ones((1, 64)))
    holed = np.random.default_rng(0).normal(size=(64, 64))
    holed[3, 3] = np.nan
    with pytest.raises(InvalidImageError, match="NaN"):
        find_columns(holed)


def test_a_scale_that_does_not_fit_is_refused(rng):
    image = rng.normal(size=(64, 64))
    with pytest.raises(ParameterError, match="does not fit"):
        find_columns(image, scale_px=40)
    with pytest.raises(ParameterError, match="one of them"):
        find_columns(image, scale_px=4, scale_nm=1)
    with pytest.raises(ParameterError, match="outside"):
        place_columns(image, [[70, 3]], scale_px=2)
