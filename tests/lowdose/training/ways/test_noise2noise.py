import numpy as np
import pytest
import tifffile

from lowdose.errors import InvalidImageError, ParameterError
from lowdose.simulation import procedural


@pytest.fixture
def build(open_way, tmp_path):
    def run(frames, setting=None, **changes):
        path = tmp_path / "stack.tif"
        tifffile.imwrite(path, frames, photometric="minisblack")
        table = {"way": "noise2noise", "stack": str(path), **changes}
        return open_way(table, **(setting or {}))

    return run


@pytest.fixture
def frames(rng, rate):
    return rng.poisson(np.repeat(20 * rate[None], 20, 0)).astype(np.uint16)


def test_input_and_target_are_the_same_place_with_independent_noise(
    build, frames, rate
):
    way = build(frames)
    differences = []
    for seed in range(50):
        example = way.example(np.random.default_rng(seed))
        differences.append(example.noisy[0] - example.target)
    # Twice the noise, and nothing of the specimen.
    assert np.var(differences) == pytest.approx(2 * 20 * rate.mean(), rel=0.05)


def test_drift_is_taken_out_and_said(build, rng):
    scene = 5 + 60 * procedural.draw("membranes", np.random.default_rng(1), 200)
    drifting = np.stack(
        [rng.poisson(scene[2 * n : 2 * n + 96, 3 * n : 3 * n + 96]) for n in range(6)]
    ).astype(np.uint16)
    way = build(drifting)
    assert "drift by up to 3 px" in way.warnings[0]
    example = way.example(rng)
    noise = 2 * example.target.mean()
    assert np.var(example.noisy[0] - example.target) == pytest.approx(noise, rel=0.2)


def test_even_and_odd_frames_are_summed(build, frames):
    way = build(frames, pairs="even-odd", group=10)
    sample = way.sample()
    np.testing.assert_allclose(
        sample.noisy[0], frames[:10:2].sum(0), atol=0.02 * frames[:10:2].sum(0).mean()
    )


def test_the_score_without_truth_is_that_with_it(build, frames, rate):
    from scipy.ndimage import uniform_filter

    way = build(frames)
    smooth = lambda seen, _: np.stack([uniform_filter(f[0], 3) for f in seen])  # noqa: E731
    errors = [
        np.mean((smooth(f[None, None], None)[0] - 20 * rate) ** 2)
        for f in frames.astype(np.float32)
    ]
    expected = 10 * np.log10(20 * rate.mean() / np.mean(errors))
    assert way.validate(smooth)["gain_dB"] == pytest.approx(expected, abs=0.3)


def test_a_beam_that_fades_is_levelled_and_said(build, frames):
    fading = frames * np.linspace(1, 0.2, len(frames))[:, None, None]
    way = build(fading.astype(np.float32))
    assert any("the means differ" in warning for warning in way.warnings)
    example = way.example(np.random.default_rng(0))
    assert example.noisy.mean() == pytest.approx(example.target.mean(), rel=0.05)


def test_frames_of_different_places_are_warned_about(build, rng):
    other = [
        rng.poisson(60 * procedural.draw("membranes", np.random.default_rng(n), 96) + 5)
        for n in range(3)
    ]
    way = build(np.stack(other).astype(np.uint16), register_drift=False)
    assert any("no specimen in common" in warning for warning in way.warnings)


def test_one_frame_is_not_enough(build, frames):
    with pytest.raises(InvalidImageError, match=r"only frame.*thinning.*blind-spot"):
        build(frames[:1])


def test_too_large_a_group_is_refused(build, frames):
    with pytest.raises(InvalidImageError, match="between 2 and the 20 frames"):
        build(frames, pairs="even-odd", group=21)


def test_a_network_of_several_frames_is_refused(build, frames):
    with pytest.raises(ParameterError, match=r"sees 3 frames.*frames=1"):
        build(frames, {"frames": 3})
