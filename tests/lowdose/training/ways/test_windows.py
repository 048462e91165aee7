import numpy as np
import pytest

from lowdose.denoiser import Needs
from lowdose.errors import ParameterError
from lowdose.inference.frames import FrameSource
from lowdose.simulation.dataset import Dataset, open_sample
from lowdose.training.ways.resampling import Resampler
from lowdose.training.ways.windows import Windows
from lowdose.zoo.sampling import Sampling

SAMPLING = Sampling(pixel_size=0.0366, finest=0.0275, coarsest=0.055)
TABLE = SAMPLING.to_table()


def config(**changes):
    return {"way": "simulation", "sampling": TABLE, **changes}


def shown(window):
    return [window.numbers[n] for n in window.order]


def test_windows_of_a_movie_are_those_that_the_engine_shows(movies, rng):
    dataset = Dataset(movies)
    windows = Windows(dataset, 5)
    found = [shown(windows.draw(number, rng)) for number in range(len(dataset))]
    needs = Needs(halo=0, frames_before=2, frames_after=2)
    of_engine = [
        [first * 6 + frame.number for frame in frames]
        for first, specimen in enumerate(dataset.specimens)
        for frames in FrameSource(dataset.movie(int(specimen)), needs)
    ]
    assert found == of_engine
    assert found[0] == [2, 1, 0, 1, 2]


def test_no_window_reaches_over_frames_that_conditions_left_out(movies, rng):
    dataset = Dataset(movies).filter(image=[0, 1, 3, 4, 5])
    windows = Windows(dataset, 3)
    assert shown(windows.draw(1, rng)) == [0, 1, 0]
    assert shown(windows.draw(2, rng)) == [3, 2, 3]


def test_a_still_image_drifts_about_where_its_middle_frame_is(rng):
    windows = Windows(open_sample(), 5, drift=0.04, jitter=0.02)
    largest = []
    for _ in range(200):
        window = windows.draw(7, rng)
        assert set(window.numbers) == {7}
        assert len(window.order) == 5
        assert not window.displacements[window.middle].any()
        largest.append(np.abs(window.displacements).max())
    assert windows.reach / 2 < max(largest) <= windows.reach == pytest.approx(0.12)
    assert min(largest) < 0.02


def test_drift_changes_the_other_frames_alone(rng):
    dataset = open_sample()
    resampler = Resampler(dataset, SAMPLING, patch=48, reach=0.1)
    moved = np.array([[0.1, 0.0], [0.0, 0.0], [0.0, -0.0366]])
    seed = np.random.default_rng
    still, _ = resampler.window([1] * 3, seed(2), typical=True)
    drifting, rates = resampler.window(
        [1] * 3, seed(2), typical=True, displacements=moved
    )
    assert np.array_equal(still[0], still[1])
    assert np.array_equal(drifting[1], still[1])
    assert not np.allclose(drifting[0], still[0])
    assert rates.shape == (3, 48, 48)


def test_a_displacement_by_a_pixel_is_a_shift_by_a_pixel():
    dataset = open_sample()
    resampler = Resampler(dataset, SAMPLING, patch=32)
    moved = np.array([[0.0, 0.0], [0.0366, 2 * 0.0366]])
    samples, rates = resampler.whole_window(dataset, [1, 1], displacements=moved)
    for frames in (samples, rates):
        scale = frames[0].std()
        difference = frames[1][1:, 2:] - frames[0][:-1, :-2]
        assert np.abs(difference).max() < 1e-3 * scale


def test_one_frame_is_what_it_was_without_windows():
    dataset = open_sample()
    resampler = Resampler(dataset, SAMPLING, patch=32)
    seed = np.random.default_rng
    alone = resampler.crop(3, seed(0), typical=False)
    several = resampler.window([3, 4], seed(0), typical=False)
    for one, two in zip(alone, several, strict=True):
        assert np.array_equal(one, two[0])


def test_frames_of_a_movie_are_changed_alike_and_have_noise_of_their_own(
    open_way, movies
):
    way = open_way(
        config(
            dataset=str(movies),
            dose_min=1e6,
            dose_max=1e6,
            contrast_min=0.5,
            contrast_max=2.0,
        ),
        frames=3,
        patch=32,
    )
    example = way.example(np.random.default_rng(3))
    assert example.noisy.shape == (3, 32, 32)
    np.testing.assert_allclose(example.noisy[1], example.target, rtol=0.01)
    # Each frame is brighter than the one before, and otherwise nearly the same.
    levels = example.noisy.mean((1, 2)) / example.target.mean()
    assert levels == pytest.approx([1 - levels[2] + 1, 1, levels[2]], rel=0.05)
    assert 0.02 < abs(levels[2] - 1) < 0.25


def test_measures_and_target_are_those_of_the_middle_frame(open_way, movies):
    way = open_way(config(dataset=str(movies)), frames=5, patch=32)
    example = way.example(np.random.default_rng(0))
    assert example.measures["mean"] == pytest.approx(example.noisy[2].mean())
    noise = example.noisy - example.target
    assert np.mean(noise[2] ** 2) == pytest.approx(example.target.mean(), rel=0.15)


def test_still_frames_have_noise_of_their_own(open_way):
    way = open_way(config(drift=0.01), frames=5, patch=32)
    for seed in range(20):
        frames = way.example(np.random.default_rng(seed)).noisy
        # At an end of a movie frames are seen twice.
        assert len({frame.tobytes() for frame in frames}) in (3, 4, 5)


def test_the_same_seed_gives_the_same_example(open_way, movies):
    table = config(
        dataset=["sample", str(movies)], drift=0.03, jitter=0.01, shares=[2, 1]
    )
    one, other = (open_way(table, frames=5, patch=32) for _ in range(2))
    names = set()
    for seed in range(12):
        a, b = (way.example(np.random.default_rng(seed)) for way in (one, other))
        assert np.array_equal(a.noisy, b.noisy)
        assert np.array_equal(a.target, b.target)
        names.add(a.name.split(",")[0].split(" of ")[1])
    assert names == {"sample-set.h5", "movies.h5"}


def test_sets_have_the_dose_per_area_of_the_first(open_way, movies):
    way = open_way(config(dataset=["sample", str(movies)], dose_min=1, dose_max=1))
    assert [source.of.dose for source in way._sources] == pytest.approx([1, 0.5])


def test_shares_are_how_often_a_set_is_drawn_from(open_way, movies):
    way = open_way(config(dataset=["sample", str(movies)], shares=[1.0, 3.0]))
    names = [way.example(np.random.default_rng(n)).name for n in range(80)]
    assert 50 <= sum("movies.h5" in name for name in names) <= 70


def test_the_gain_is_that_of_the_middle_frame(open_way, movies):
    way = open_way(config(dataset=["sample", str(movies)], drift=0.04), frames=5)
    seen = []

    def middle(frames, measures):
        seen.append(frames.shape[1])
        return frames[:, 2]

    assert way.validate(middle)["gain_dB"] == pytest.approx(0)
    assert set(seen) == {5}
    averaged = way.validate(lambda frames, _: frames.mean(1))
    assert averaged["gain_dB"] > 3
    sample = way.sample()
    assert sample.noisy.shape == (5, *sample.clean.shape)


@pytest.mark.parametrize(
    ("changes", "frames", "message"),
    [
        ({"drift": 0.04}, 1, "the network sees one"),
        ({"dataset": []}, 5, "names no file"),
        ({"shares": [1.0, 1.0]}, 5, "each of the 1 in dataset"),
        ({"dataset": ["sample", "sample"], "shares": [1.0, 0.0]}, 5, "above 0"),
        ({"dataset": ["sample", "sample"], "sampling": None}, 1, "need sampling"),
        ({"sampling": None}, 5, "then needs data.sampling"),
        ({"sampling": None, "drift": 0.04}, 5, "drift must come with sampling"),
        ({"drift": 0.4}, 5, "nm at each border to drift"),
        ({"drift": -0.1}, 5, "drift is -0.1"),
    ],
)
def test_what_does_not_go_together_is_refused(open_way, changes, frames, message):
    table = {k: v for k, v in config(**changes).items() if v is not None}
    with pytest.raises(ParameterError, match=message):
        open_way(table, frames=frames, patch=32)


def test_movies_do_not_drift_by_more_than_they_do(open_way, movies):
    with pytest.raises(ParameterError, match="move by themselves"):
        open_way(config(dataset=str(movies), drift=0.04), frames=5, patch=32)
