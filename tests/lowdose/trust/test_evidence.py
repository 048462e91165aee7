"""Evidence for columns: right when there is none, strong where there is one."""

from functools import cache

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import kstest, poisson

from lowdose import catalogue
from lowdose.errors import Cancelled, InvalidImageError, ParameterError
from lowdose.inference.engine import denoise
from lowdose.micrograph import Micrograph
from lowdose.noise import NoiseModel
from lowdose.trust.column_test import (
    Height,
    faintness,
    local_test,
    vacuum_test,
)
from lowdose.trust.columns import find_columns, place_columns
from lowdose.trust.counting import Counted, compare_counts
from lowdose.trust.evidence import (
    EvidenceOptions,
    column_evidence,
    iter_column_evidence,
)
from lowdose.trust.likelihood import mean_likelihood_ratio
from lowdose.trust.multiplicity import benjamini_hochberg, combine_splits, holm
from lowdose.trust.poisson_sums import log_upper_tail
from lowdose.trust.vacuum import drawn_vacuum, find_vacuum

SIGMA = 4.0
LEVEL = 0.45


@cache
def scene():
    """Return rate, rate with invented columns, and both kinds of positions."""
    shape = (210, 300)
    rows, columns = np.meshgrid(np.arange(20, 200, 18), np.arange(20, 130, 18))
    real = np.stack([rows.ravel(), columns.ravel()], 1).astype(float)
    invented = np.array([[r, c] for r in (40.0, 100, 160) for c in (175.0, 230, 275)])
    y, x = np.mgrid[: shape[0], : shape[1]]

    def add(points):
        image = np.zeros(shape)
        for row, column in points:
            square = (y - row) ** 2 + (x - column) ** 2
            image = image + 0.5 * np.exp(-square / (2 * SIGMA**2))
        return image

    rate = LEVEL + add(real)
    return rate, rate + add(invented), real, invented


def counted(electrons, rate, model=None):
    electrons = np.asarray(electrons, float)
    return Counted(
        electrons=electrons,
        rate=rate,
        model=model or NoiseModel(),
        valid=np.ones(rate.shape, bool),
        frame=Micrograph(electrons),
    )


def shown():
    _, claim, real, invented = scene()
    return place_columns(claim, np.concatenate([real, invented]), scale_px=SIGMA)


def test_p_values_of_columns_that_are_not_there_are_uniform(rng):
    rate, claim, real, invented = scene()
    columns = shown()
    tested = range(len(real), len(real) + len(invented))
    p, against = [], []
    while len(p) < 2000:
        case = counted(rng.poisson(rate), claim)
        p += [float(np.exp(local_test(case, columns, n).log_p)) for n in tested]
        mask = np.zeros(rate.shape, bool)
        mask[:, 190:215] = True
        vacuum = drawn_vacuum(case, columns, mask)
        against += [
            float(np.exp(vacuum_test(case, columns, n, vacuum).log_p)) for n in tested
        ]
    assert kstest(p[:2000], "uniform").pvalue > 0.01
    assert kstest(against[:2000], "uniform").pvalue > 0.01


def test_presence_is_uniform_where_the_column_is_there(rng):
    _, claim, real, invented = scene()
    columns = shown()
    p = []
    while len(p) < 900:
        case = counted(rng.poisson(claim), claim)
        tested = range(len(real), len(real) + len(invented))
        tests = [local_test(case, columns, n) for n in tested]
        p += [float(np.exp(t.log_p_presence)) for t in tests]
    assert kstest(p, "uniform").pvalue > 0.01


def test_columns_that_are_shown_too_faint_are_expected_as_high_as_the_counts_say(rng):
    rate, _, real, invented = scene()
    y, x = np.mgrid[: rate.shape[0], : rate.shape[1]]
    # A denoiser that shows a sixth of every column, and invents some as faint ones.
    faint = rate.mean() + (rate - rate.mean()) / 6
    for row, column in invented:
        square = (y - row) ** 2 + (x - column) ** 2
        faint = faint + 0.5 / 6 * np.exp(-square / (2 * SIGMA**2))
    faint *= rate.mean() / faint.mean()
    columns = place_columns(
        faint, np.concatenate([real, invented]), scale_px=SIGMA, move=False
    )
    found = column_evidence(rng.poisson(3 * rate), 3 * faint, columns=columns)
    there = np.arange(len(columns)) < len(real)
    assert found.faintness == pytest.approx(6, rel=0.3)
    assert any("fainter" in caveat for caveat in found.caveats)
    assert (found.llr[there] > 0).mean() > 0.97
    assert (found.llr[~there] < 0).mean() > 0.8
    assert (np.array(found.verdicts)[~there] == "contradicted").mean() > 0.5


def test_no_factor_is_taken_from_noise(rng):
    heights = [
        Height(claimed=c, counted=rng.normal(0, 1), information=1.0)
        for c in rng.uniform(0.1, 1, 200)
    ]
    np.testing.assert_array_equal(faintness(heights), 1.0)


def test_read_noise_and_gain_leave_p_values_uniform(rng):
    rate, claim, real, invented = scene()
    columns = shown()
    model = NoiseModel(gain=30.0, offset=100.0, read_noise=12.0)
    p = []
    while len(p) < 900:
        electrons = rng.poisson(rate) + 0.4 * rng.standard_normal(rate.shape)
        case = counted(electrons, claim, model)
        tested = range(len(real), len(real) + len(invented))
        p += [float(np.exp(local_test(case, columns, n).log_p)) for n in tested]
    assert kstest(p, "uniform").pvalue > 0.01


def test_real_columns_are_supported_and_invented_ones_contradicted(rng):
    rate, claim, real, _ = scene()
    noisy = rng.poisson(6 * rate)
    found = column_evidence(noisy, 6 * claim * rate.mean() / claim.mean(), columns=None)
    where = [
        int(np.argmin(np.hypot(*(found.columns.positions - place).T))) for place in real
    ]
    verdicts = np.array(found.verdicts)
    assert (verdicts[where] == "supported").all()
    others = np.setdiff1d(np.arange(len(verdicts)), where)
    assert len(others) == 9
    assert (verdicts[others] == "contradicted").mean() > 0.8
    assert (found.llr[where] > 0).all()
    assert (found.llr[others] < 0).all()
    np.testing.assert_allclose(found.height[where], 3.0, atol=4 * 0.5)


def test_evidence_grows_with_electrons_and_the_mean_ratio_does_not(rng):
    rate, _, real, _ = scene()
    columns = place_columns(rate, real, scale_px=SIGMA)
    total, mean = [], []
    for dose in (1, 10):
        case = counted(rng.poisson(dose * rate), dose * rate)
        placed = place_columns(dose * rate, real, scale_px=SIGMA)
        total.append(np.mean([local_test(case, placed, n).llr for n in range(20)]))
        mask = np.zeros(rate.shape, bool)
        mask[:, 190:] = True
        mean.append(np.mean(mean_likelihood_ratio(case, columns, mask)) / dose)
    assert total[1] / total[0] == pytest.approx(10, rel=0.25)
    assert mean[1] == pytest.approx(mean[0], rel=0.25)


def test_the_mean_ratio_is_the_published_formula(rng):
    rate, claim, real, _ = scene()
    y = rng.poisson(rate)
    columns = place_columns(claim, real, scale_px=SIGMA)
    case = counted(y, claim)
    mask = np.zeros(rate.shape, bool)
    mask[:30, 200:] = True
    rows, cols = np.mgrid[: rate.shape[0], : rate.shape[1]]
    row, column = columns.positions[7]
    disk = np.hypot(rows - row, cols - column) <= np.sqrt(2) * SIGMA
    a, v = claim[disk].mean(), claim[mask].mean()
    expected = (poisson.logpmf(y[disk], a) - poisson.logpmf(y[disk], v)).mean()
    assert mean_likelihood_ratio(case, columns, mask)[7] == pytest.approx(expected)


def test_columns_made_of_noise_pass_only_where_the_electrons_are_not_split(rng):
    noisy = rng.poisson(0.45, (160, 160)).astype(np.float32)
    blur = catalogue.load("gaussian", sigma=4.0)
    denoised = denoise(noisy, blur)
    columns = find_columns(denoised, scale_px=4.0, polarity="bright")
    naive = column_evidence(noisy, denoised, columns=columns)
    options = EvidenceOptions(splits=1)
    split = column_evidence(
        noisy, denoised, columns=columns, denoiser=blur, options=options
    )
    assert (naive.p < 0.05).mean() > 0.5
    assert (split.p < 0.05).mean() < 0.12
    assert split.independent
    assert not naive.independent
    assert "same counts" in naive.caveats[-1]


def test_gain_and_offset_do_not_change_the_evidence(rng):
    rate, claim, _, _ = scene()
    claim = claim * rate.mean() / claim.mean()
    electrons = rng.poisson(4 * rate)
    plain = column_evidence(electrons, 4 * claim)
    model = NoiseModel(gain=25.0, offset=300.0)
    scaled = column_evidence(electrons * 25.0 + 300, 100 * claim + 300, noise=model)
    np.testing.assert_allclose(scaled.llr, plain.llr, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(scaled.p, plain.p, atol=1e-4)


def test_an_estimated_gain_is_told(rng):
    rate, _, _, _ = scene()
    wide = np.tile(8 * rate, (2, 2))
    noisy = 25.0 * rng.poisson(wide) + 300
    counts = compare_counts(noisy, 25 * wide + 300)
    assert counts.model.gain == pytest.approx(25, rel=0.1)
    assert "estimated" in counts.caveats[0]


def test_maps_are_calibrated_and_nan_between_the_columns(rng):
    rate, _, _, _ = scene()
    found = column_evidence(rng.poisson(rate), rate)
    names = [m.name for m in found.maps]
    assert names[0] == "evidence"
    assert "likelihood (SBD)" in names
    for trust_map in found.maps:
        image = np.asarray(trust_map.image)
        assert image.shape == rate.shape
        assert np.isnan(image).any()
        assert np.isfinite(image).any()


def test_vacuum_is_found_beside_the_specimen_and_nowhere_without_one(rng):
    rate, _, real, _ = scene()
    case = counted(rng.poisson(rate), rate)
    columns = place_columns(rate, real, scale_px=SIGMA)
    vacuum = find_vacuum(case, columns)
    assert vacuum.rate == pytest.approx(LEVEL, rel=0.03)
    assert vacuum.mask[:, 200:].mean() > 0.8
    assert not vacuum.mask[tuple(real.astype(int).T)].any()
    assert vacuum.mask[20:190, 20:120].mean() < 0.05
    assert vacuum.confidence > 0.5
    inside = (slice(0, 200), slice(0, 140))
    full = counted(case.electrons[inside], rate[inside])
    with pytest.raises(InvalidImageError, match="No vacuum"):
        find_vacuum(full, place_columns(rate[inside], real, scale_px=SIGMA))


def test_without_vacuum_columns_are_tested_against_their_surroundings(rng):
    rate = scene()[0][:200, :140]
    found = column_evidence(rng.poisson(4 * rate), 4 * rate)
    assert found.vacuum is None
    assert np.isnan(found.p_vacuum).all()
    assert (found.llr > 0).all()
    assert any("no vacuum" in c for c in found.caveats)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda n, d: (n, d[:-1]), "shape"),
        (lambda n, d: (n, 2 * d), "mean"),
        (lambda n, d: (n, np.full_like(d, n.mean())), "constant"),
        (lambda n, d: (n * 0 + 3, d), "constant"),
        (lambda n, d: (np.stack([n, n]), d), "frames"),
        (lambda n, d: (d, d), "noise"),
        (lambda n, d: (10.0 + 0.3 * n, 10 + 0.3 * d), "noise|electron"),
    ],
)
def test_images_that_cannot_be_compared_are_refused(rng, change, message):
    rate = scene()[0]
    noisy, denoised = change(rng.poisson(4 * rate).astype(float), 4 * rate)
    model = NoiseModel() if "electron" in message else None
    with pytest.raises(InvalidImageError, match=message):
        column_evidence(noisy, denoised, noise=model)


def test_noise_that_was_blurred_is_refused(rng):
    rate = scene()[0]
    blurred = gaussian_filter(rng.poisson(50 * rate).astype(float), 1.0)
    with pytest.raises(InvalidImageError):
        column_evidence(blurred, 50 * rate, noise=NoiseModel())


def test_a_drawn_vacuum_must_fit(rng):
    rate = scene()[0]
    with pytest.raises(ParameterError, match="shape"):
        column_evidence(rng.poisson(rate), rate, vacuum=np.ones((3, 3), bool))
    with pytest.raises(ParameterError, match="fewer"):
        column_evidence(rng.poisson(rate), rate, vacuum=np.zeros(rate.shape, bool))


def test_it_stops_when_told(rng):
    rate = scene()[0]
    with pytest.raises(Cancelled):
        list(iter_column_evidence(rng.poisson(rate), rate, should_stop=lambda: True))


@pytest.mark.parametrize("shift", [-2.5, 0.0, 1.0, 3.0])
def test_tails_of_weighted_sums_are_those_of_simulation(rng, shift):
    weights = rng.normal(size=300)
    rates = rng.uniform(0, 0.8, 300)
    mean, deviation = weights @ rates, np.sqrt(weights**2 @ rates)
    value = mean + shift * deviation
    sums = rng.poisson(rates, (100_000, 300)) @ weights
    found = np.exp(log_upper_tail(value, weights, rates))
    share = (sums >= value).mean()
    assert found == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / 1e5))


def test_adjusted_p_values_follow_their_definitions():
    p = np.array([0.01, 0.04, 0.03, 0.5])
    np.testing.assert_allclose(holm(p), [0.04, 0.09, 0.09, 0.5])
    np.testing.assert_allclose(benjamini_hochberg(p), [0.04, 0.16 / 3, 0.16 / 3, 0.5])
    np.testing.assert_allclose(combine_splits([[0.01], [0.2], [0.03]]), [0.06])
    np.testing.assert_allclose(combine_splits([p]), p)
    with pytest.raises(ParameterError, match="p-value"):
        holm([1.2])
