import numpy as np
import pytest

from lowdose.errors import ParameterError
from lowdose.training.batches import collate
from lowdose.training.examples import Setting
from lowdose.training.feed import Feed
from lowdose.training.tables import build
from lowdose.training.ways import config_of, drawings

TABLE = {"way": "drawings", "kinds": {"lattice": 1.0, "amorphous": 1.0}}
TABLE |= {"images": 3, "size": 48}


@pytest.fixture(autouse=True)
def one_validation_dose(monkeypatch):
    monkeypatch.setattr(drawings, "VALIDATION_DOSES", (2.0,))


def opening(folder, **changes):
    config = build(config_of("drawings"), {**TABLE, **changes}, "data")
    return drawings.iter_open(config, Setting(seed=5, folder=folder, patch=32))


def drawn(way, step, numbers):
    feed = Feed(way, seed=1, numbers=numbers, conditions=2, last=10, threads=0)
    return feed.batch(step)


def test_images_are_drawn_once_and_the_same_for_the_same_seed(open_way, tmp_path):
    list(opening(tmp_path))
    first = np.load(tmp_path / "images.npy")
    assert list(opening(tmp_path)) == []
    again = tmp_path / "again"
    again.mkdir()
    list(opening(again))
    np.testing.assert_array_equal(first, np.load(again / "images.npy"))


def test_images_of_another_recipe_are_drawn_anew(tmp_path):
    list(opening(tmp_path))
    assert list(opening(tmp_path, noise={"known": 0.5})) == []
    assert list(opening(tmp_path, images=4)) != []
    assert len(np.load(tmp_path / "images.npy")) == 4


def test_a_drawing_that_was_cut_short_is_not_taken_for_finished(tmp_path, monkeypatch):
    monkeypatch.setattr(drawings, "_REPORT_EVERY", 1)
    job = opening(tmp_path)
    next(job)
    job.close()
    assert not (tmp_path / "images.npy").exists()


def test_a_batch_depends_on_seed_step_and_number_alone(open_way):
    way = open_way(TABLE)
    whole = drawn(way, 7, range(4))
    assert whole.seen.shape == (4, 3, 32, 32)
    assert whole.target.shape == (4, 1, 32, 32)
    half = drawn(way, 7, range(2, 4))
    np.testing.assert_array_equal(whole.seen[2:], half.seen)
    other = drawn(way, 8, range(4))
    assert not np.array_equal(whole.seen, other.seen)


@pytest.mark.parametrize("gaussian", [0.0, 1.0])
def test_told_noise_has_unit_variance_about_the_target(open_way, gaussian):
    noise = {"known": 1.0, "gaussian": gaussian, "read_noise": 0.5, "dose_min": 5.0}
    way = open_way({**TABLE, "noise": noise})
    batch = drawn(way, 0, range(64))
    np.testing.assert_array_equal(batch.seen[:, 1], 1)
    assert (batch.seen[:, :1] - batch.target).var() == pytest.approx(1, abs=0.03)


def test_the_dose_is_spread_evenly_over_its_logarithm(open_way):
    way = open_way({**TABLE, "noise": {"dose_min": 1.0, "dose_max": 100.0}}, patch=16)
    rng = np.random.default_rng(0)
    doses = [way.example(rng).target.mean() for _ in range(600)]
    assert min(doses) >= 0.999
    assert max(doses) <= 100.1
    assert np.mean(np.log10(doses)) == pytest.approx(1, abs=0.1)


def test_validation_images_are_fresh_and_reproducible(open_way):
    first, again = (open_way(TABLE)._sets[2.0] for _ in range(2))
    noisy, clean = first
    np.testing.assert_array_equal(noisy, again[0])
    assert clean.mean() == pytest.approx(2, rel=1e-3)
    assert noisy.shape == (12, 128, 128)


def test_the_truth_scores_best_and_the_noisy_images_gain_nothing(open_way):
    way = open_way(TABLE)
    clean = way._sets[2.0][1]
    assert way.validate(lambda *_: clean)["ssim"] == pytest.approx(1)
    found = way.validate(lambda frames, _: frames[:, 0])
    assert found["gain_dB_2"] == found["gain_dB"] == pytest.approx(0)


def test_what_is_collated_is_normalised_alike(open_way, rng):
    example = open_way(TABLE).example(rng)
    batch = collate([example], 0)
    mean, sigma = example.measures["mean"], example.measures["sigma"]
    np.testing.assert_allclose(
        batch.seen[0] * sigma + mean, example.noisy, rtol=1e-4, atol=1e-3
    )
    np.testing.assert_allclose(
        batch.target[0, 0] * sigma + mean, example.target, rtol=1e-4, atol=1e-3
    )


def test_smooth_kinds_get_no_fine_texture(tmp_path):
    grained = {"kinds": {"crystals": 1.0}, "grain": [1.0, 1.5, 1.8]}
    images = []
    for number, smooth in enumerate((["crystals"], [])):
        folder = tmp_path / str(number)
        folder.mkdir()
        list(opening(folder, smooth=smooth, **grained))
        images.append(np.load(folder / "images.npy").astype(float))
    fine = [np.abs(np.diff(drawn, axis=-1)).mean() for drawn in images]
    assert fine[0] < 0.8 * fine[1]


def test_an_unknown_smooth_kind_names_the_nearest():
    with pytest.raises(ParameterError, match="smooth has no 'crystal'"):
        build(config_of("drawings"), {**TABLE, "smooth": ["crystal"]}, "data")
