import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, median_filter

from lowdose.errors import InvalidImageError, ParameterError
from lowdose.metrics import held_out_deviance_terms, thinned_error_terms
from lowdose.metrics.thinned import full_dose_error_terms
from lowdose.noise import thin

DENOISERS = {
    "linear": lambda y: gaussian_filter(np.asarray(y, dtype=float), 1.5),
    "not smooth": lambda y: median_filter(np.asarray(y, dtype=float), 5),
}


def scene(dose):
    y, x = np.mgrid[:64, :64]
    return dose * (1 + 0.6 * np.sin(x / 4) * np.sin(y / 5))


@pytest.mark.parametrize("name", DENOISERS)
@pytest.mark.parametrize("dose", [0.4, 8.0])
def test_the_error_is_unbiased_at_the_dose_that_was_denoised(rng, name, dose):
    truth, p = scene(dose), 0.9
    gaps = []
    for _ in range(80):
        y = rng.poisson(truth)
        first, second = thin(y, p, rng)
        f = DENOISERS[name](first)
        terms = thinned_error_terms(y, second, f, p=p, full=DENOISERS[name](y))
        gaps.append(terms.mean() - np.square(f / p - truth).mean())
    standard_error = np.std(gaps) / math.sqrt(len(gaps))
    assert abs(np.mean(gaps)) < 4 * standard_error
    assert standard_error < 0.02 * dose


def test_the_control_variate_keeps_the_scatter_bounded_near_the_full_dose(rng):
    truth, p = scene(4.0), 0.98
    plain, controlled = [], []
    for _ in range(40):
        y = rng.poisson(truth)
        first, second = thin(y, p, rng)
        f = DENOISERS["linear"](first)
        plain.append(thinned_error_terms(y, second, f, p=p).mean())
        full = DENOISERS["linear"](y)
        controlled.append(thinned_error_terms(y, second, f, p=p, full=full).mean())
    assert np.std(controlled) < np.std(plain) / 5


def test_at_the_full_dose_it_is_unbiased_and_hardly_depends_on_the_dice(rng):
    truth, p = scene(0.4), 0.97
    y = rng.poisson(truth)

    def blur(image):
        return gaussian_filter(np.asarray(image, dtype=float), 1.5, mode="wrap")

    full = blur(y)
    found, without = [], []
    for _ in range(60):
        first, second = thin(y, p, rng)
        f = blur(first)
        found.append(full_dose_error_terms(y, second, f, p=p, full=full).mean())
        follows = (full - f / p) * (second / (1 - p) - y)
        without.append((np.square(full - y) - y + 2 * follows).mean())
    # Of a linear filter the covariance is known: the middle of its kernel times y.
    kernel = blur(np.pad([[1.0]], 32))[32, 32]
    exact = np.square(full - y).mean() - y.mean() + 2 * kernel * y.mean()
    assert np.mean(found) == pytest.approx(exact, abs=4 * np.std(found) / 7)
    assert np.std(found) < 0.5 * np.std(without)


def test_deviance_is_least_for_the_true_rate(rng):
    truth, p = scene(2.0), 0.8
    first_rate = p * truth
    held_out = rng.poisson((1 - p) * truth, (40, 64, 64)).mean(0)

    def total(rate):
        return held_out_deviance_terms(held_out, rate, p=p).mean()

    best = total(first_rate)
    assert best < total(1.2 * first_rate)
    assert best < total(0.8 * first_rate)
    assert best < total(np.full_like(truth, first_rate.mean()))


def test_deviance_stays_finite_where_nothing_or_less_was_expected():
    held_out = np.array([[0.0, 3.0], [1.0, 0.0]])
    terms = held_out_deviance_terms(held_out, np.array([[0, 0], [-1, 5.0]]), p=0.5)
    assert np.isfinite(terms).all()
    assert (terms >= 0).all()


@pytest.mark.parametrize("p", [0, 1, -0.1, 2])
def test_a_share_of_all_or_nothing_is_refused(p):
    image = np.eye(4)
    with pytest.raises(ParameterError, match="between 0 and 1"):
        thinned_error_terms(image, image, image, p=p)


def test_another_shape_is_refused():
    with pytest.raises(InvalidImageError, match="full"):
        thinned_error_terms(np.eye(4), np.eye(4), np.eye(4), p=0.9, full=np.eye(5))
