import numpy as np
import pytest
import tifffile
from scipy.ndimage import gaussian_filter1d, uniform_filter


@pytest.fixture
def noisy(rng, rate):
    """Return frames with Gaussian noise, shape (10, 96, 96)."""
    return (50 * rate + rng.normal(0, 20, (10, *rate.shape))).astype(np.float32)


@pytest.fixture
def build(open_way, tmp_path):
    def run(frames, setting=None, **changes):
        path = tmp_path / "stack.tif"
        tifffile.imwrite(path, frames, photometric="minisblack")
        table = {"way": "blind-spot", "stack": str(path), **changes}
        return open_way(table, **(setting or {}))

    return run


def test_only_hidden_pixels_are_asked_for(build, noisy, rng):
    way = build(noisy, share=0.05)
    example = way.example(rng)
    asked = example.weight > 0
    changed = example.noisy[0] != example.target
    np.testing.assert_array_equal(asked, changed)
    assert asked.mean() == pytest.approx(0.05, rel=0.3)
    assert example.weight.mean() == pytest.approx(1.0, rel=1e-5)


def test_copying_the_input_scores_worse_than_the_neighbours(build, noisy):
    way = build(noisy)
    copying = way.validate(lambda frames, _: frames[:, 0])["blind_dB"]
    around = way.validate(
        lambda frames, _: np.stack(
            [(9 * uniform_filter(f[0], 3) - f[0]) / 8 for f in frames]
        )
    )["blind_dB"]
    assert around > copying + 2


@pytest.mark.parametrize(
    ("axes", "shape"), [((2,), "row"), ((1,), "column"), ((1, 2), "neighbours")]
)
def test_pixels_along_correlated_noise_are_hidden_too(build, noisy, rng, axes, shape):
    noise = rng.normal(0, 20, noisy.shape)
    for axis in axes:
        noise = gaussian_filter1d(noise, 0.8, axis=axis)
    way = build((noisy.mean(0) + noise).astype(np.float32))
    assert way.shape == shape
    assert shape in way.warnings[0]
    example = way.example(rng)
    changed = example.noisy[0] != example.target
    assert changed.sum() > 3 * (example.weight > 0).sum()


def test_rows_stay_rows(build, noisy):
    frames = noisy + 1000 * np.arange(96, dtype=np.float32)[:, None]
    way = build(frames, blind="row")
    for seed in range(20):
        target = way.example(np.random.default_rng(seed)).target
        assert np.ptp(target.mean(1)) > 10 * np.ptp(target.mean(0))


def test_correlation_against_the_users_will_is_warned_about(build, noisy, rng):
    noise = gaussian_filter1d(rng.normal(0, 20, noisy.shape), 0.8, axis=2)
    way = build(noise.astype(np.float32) + 100, blind="pixel")
    assert way.shape == "pixel"
    assert "data.blind='pixel'" in way.warnings[0]


def test_white_noise_is_not_warned_about(build, noisy):
    way = build(noisy)
    assert (way.shape, way.warnings) == ("pixel", ())


def test_a_blind_network_sees_the_whole_crop_and_its_neighbours(build, noisy, rng):
    way = build(noisy, {"blind": True, "frames": 5})
    example = way.example(rng)
    assert example.noisy.shape == (5, 32, 32)
    np.testing.assert_array_equal(example.noisy[2], example.target)
    assert example.weight == 1.0


def test_neighbouring_frames_are_not_hidden(build, noisy):
    way = build(noisy, {"frames": 3})
    example = way.example(np.random.default_rng(1))
    assert (example.noisy[1] != example.target).any()
    plain = build(noisy, {"frames": 3, "blind": True})
    whole = plain.example(np.random.default_rng(1))
    np.testing.assert_array_equal(example.noisy[[0, 2]], whole.noisy[[0, 2]])


@pytest.mark.parametrize("blind", [False, True])
def test_of_few_frames_pixels_are_held_out_all_over(build, noisy, blind):
    frame = noisy[0]  # each value but once
    way = build(noisy[:1], {"blind": blind}, share=0.05)
    asked_of, learnt_from = set(), set()
    for _, target, weight, _ in way._asked:
        asked_of |= set(target[weight > 0].tolist())
    for seed in range(300):
        example = way.example(np.random.default_rng(seed))
        learnt_from |= set(example.target[example.weight > 0].tolist())
    assert not asked_of & learnt_from
    places = np.isin(frame, list(asked_of))
    assert places.mean() == pytest.approx(1 / 8, rel=0.15)
    quarters = [places[y : y + 48, x : x + 48] for y in (0, 48) for x in (0, 48)]
    assert min(part.mean() for part in quarters) > 0.1
    assert len(learnt_from) > 0.5 * frame.size
    copying = way.validate(lambda frames, _: frames[:, 0])
    assert np.isfinite(copying["blind_dB"])


def test_a_correlation_that_is_weak_but_sure_is_noticed(build, rng):
    noise = rng.normal(0, 20, (1, 512, 512))
    noise[..., 1:] += 0.07 * noise[..., :-1]
    way = build((100 + noise).astype(np.float32))
    assert way.shape == "row"
    assert "0.07 along rows" in way.warnings[0]


def test_a_quarter_of_the_pixels_is_hidden_at_most(build, noisy, rng):
    way = build(noisy, blind="neighbours", reach=3, share=0.05)
    example = way.example(rng)
    assert 0.1 < (example.noisy[0] != example.target).mean() <= 0.27
