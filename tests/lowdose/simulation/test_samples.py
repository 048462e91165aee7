import numpy as np
import pytest

from lowdose.simulation.samples import VACUUM, draw_movie, sample_frame, sample_movie


def test_the_bundled_movie_is_the_one_that_is_drawn():
    counts, _ = draw_movie()
    movie = sample_movie()
    np.testing.assert_array_equal(np.asarray(movie), counts.data)
    assert [(a.label, a.unit) for a in movie.calibration.axes] == [
        (a.label, a.unit) for a in counts.calibration.axes
    ]
    np.testing.assert_allclose(
        [a.spacing for a in movie.calibration.axes],
        [a.spacing for a in counts.calibration.axes],
        rtol=1e-6,
    )


def test_the_frame_is_the_first_of_the_movie():
    frame = sample_frame()
    np.testing.assert_array_equal(np.asarray(frame), sample_movie().frame(0))
    assert frame.calibration.pixel_size() == pytest.approx((0.02, 0.02))


def test_the_vacuum_has_its_dose_and_poisson_noise():
    counts, rates = draw_movie()
    vacuum = np.asarray(counts)[:, :50, :50]
    assert np.asarray(rates)[:, :50, :50].max() < 1.01 * VACUUM
    assert vacuum.mean() == pytest.approx(VACUUM, rel=0.02)
    assert vacuum.var() == pytest.approx(VACUUM, rel=0.03)


def test_one_surface_atom_hops():
    rates = np.asarray(draw_movie()[1])
    changes = np.abs(np.diff(rates[:, :90], axis=0)).max((1, 2))
    assert changes.argmax() == 7  # between frames 7 and 8
