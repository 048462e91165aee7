import numpy as np
import pytest
import tifffile

from lowdose.errors import InvalidImageError, ParameterError
from lowdose.networks.normalising import measure
from lowdose.noise import NoiseModel, thin
from lowdose.training.frame_measures import thinned_measures


@pytest.fixture
def build(open_way):
    def run(path, setting=None, **changes):
        table = {"way": "thinning", "stack": str(path), **changes}
        return open_way(table, **(setting or {}))

    return run


@pytest.mark.parametrize("share", [0.25, 0.5, 0.9])
def test_target_and_input_are_unbiased_and_independent(build, movie, share):
    way = build(movie, share_min=share, share_max=share)
    seen, hidden = [], []
    for seed in range(60):
        example = way.example(np.random.default_rng(seed))
        seen.append(example.noisy[0].ravel())
        hidden.append(example.target.ravel())
    a, b = np.concatenate(seen), np.concatenate(hidden)
    assert b.mean() == pytest.approx(a.mean(), rel=0.05)
    # What is left of the specimen correlates them; of the noise nothing does, while
    # an unsplit image would give a coefficient of the noise of order one.
    whole = np.array(tifffile.imread(movie), float)
    specimen = whole.mean(0).var() - whole.mean() / len(whole)
    covariance = np.cov(a, b)[0, 1]
    assert covariance == pytest.approx(share**2 * specimen, abs=0.03 * whole.mean())


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
def test_the_weighted_error_of_the_truth_is_one_at_any_share(
    build, tmp_path, rng, share
):
    """In the units of the network the target has the noise variance 1 / weight."""
    path = tmp_path / "flat.tif"
    tifffile.imwrite(path, rng.poisson(3.0, (8, 96, 96)).astype(np.uint8))
    way = build(path, share_min=share, share_max=share)
    errors = []
    for seed in range(40):
        example = way.example(np.random.default_rng(seed))
        rate = 3.0 * share
        errors.append(
            example.weight
            * np.mean((example.target - rate) ** 2)
            / example.measures["sigma"] ** 2
        )
    assert np.mean(errors) == pytest.approx(1.0, rel=0.03)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("share", [0.3, 0.75])
def test_the_measures_of_thinned_counts_need_not_be_measured(rng, share, known):
    """They are those of counts that are thinned in fact."""
    x = np.arange(256)
    rate = 6 + 3 * np.sin(x / 3)[:, None] * np.cos(x / 5)
    counts = rng.poisson(rate).astype(np.float32)
    noise = NoiseModel() if known else None
    whole = measure(counts, noise)
    expected = thinned_measures(whole, share)
    found = measure(thin(counts, share, rng)[0], noise)
    assert expected.keys() == found.keys()
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, rel=0.03, abs=0.03), key


def test_the_score_without_truth_is_that_with_it(build, tmp_path, rng, rate):
    big = np.tile(rate, (2, 2))
    counts = rng.poisson(np.repeat(big[None], 64, 0))
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, counts.astype(np.uint8), photometric="minisblack")
    way = build(path)

    def smooth(frames, measures):
        from scipy.ndimage import uniform_filter

        return np.stack([uniform_filter(frame[0], 3) for frame in frames])

    # The error of the filter at the full dose, from all frames and the truth.
    denoised = smooth(counts[:, None].astype(np.float32), None)
    after = np.mean((denoised - big) ** 2)
    expected = 10 * np.log10(big.mean() / after)
    assert way.validate(smooth)["gain_dB"] == pytest.approx(expected, abs=0.35)


def test_doing_nothing_gains_nothing(build, movie):
    way = build(movie)
    found = way.validate(lambda frames, measures: frames[:, 0])
    assert found["gain_dB"] == pytest.approx(0, abs=0.1)


def test_counts_of_another_gain_are_learnt_from_as_electrons(build, tmp_path, movie):
    path = tmp_path / "gained.tif"
    tifffile.imwrite(path, 7 * tifffile.imread(movie) + np.uint8(3))
    way = build(path, gain=7, offset=3)
    plain = build(movie)
    for seed in range(3):
        one, other = (w.example(np.random.default_rng(seed)) for w in (way, plain))
        np.testing.assert_array_equal(one.noisy, other.noisy)
        np.testing.assert_array_equal(one.target, other.target)


def test_neighbouring_frames_are_thinned_with_the_middle_one(build, movie):
    way = build(movie, {"frames": 3})
    example = way.example(np.random.default_rng(0))
    assert example.noisy.shape == (3, 32, 32)
    assert example.target.shape == (32, 32)
    assert way.sample().noisy.shape == (3, 96, 96)


def test_data_that_are_not_counted_are_refused_with_the_other_ways(
    build, tmp_path, rng, rate
):
    path = tmp_path / "float.tif"
    tifffile.imwrite(path, rng.normal(100 + rate, 1.0).astype(np.float32))
    with pytest.raises(InvalidImageError, match=r"not a whole number.*blind-spot"):
        build(path)


def test_whole_numbers_with_other_noise_are_warned_about(build, tmp_path, rng, rate):
    path = tmp_path / "scaled.tif"
    tifffile.imwrite(path, np.rint(rng.normal(50 + rate, 2.0)).astype(np.uint8))
    assert "assumes Poisson noise" in build(path).warnings[0]


def test_counts_shared_between_pixels_are_warned_about(build, tmp_path, rng, rate):
    counts = rng.poisson(np.repeat(rate[None], 3, 0))
    path = tmp_path / "shared.tif"
    tifffile.imwrite(path, (counts + np.roll(counts, 1, 2)).astype(np.uint8)[0])
    assert any("correlated" in warning for warning in build(path).warnings)


def test_counts_as_they_should_be_are_not_warned_about(build, movie):
    assert build(movie).warnings == ()


def test_better_networks_score_better_also_beyond_what_can_be_told(build, movie):
    """An estimate of the error below zero, by chance, does not end the ranking."""
    way = build(movie)
    found = [
        way.validate(lambda frames, _, f=factor: f * frames[:, 0])["fidelity"]
        for factor in (0.0, 0.5, 1.0)
    ]
    assert len(set(found)) == 3
    assert found[2] == pytest.approx(0, abs=0.05)


def test_another_normalisation_is_refused(build, movie):
    with pytest.raises(ParameterError, match=r"cannot learn with .*'min-max'"):
        build(movie, {"normalisation": "min-max"})
