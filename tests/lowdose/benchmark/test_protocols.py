"""Ede's, dose, em-denoise and movie, each at its smallest."""

import numpy as np
import pytest

import lowdose
from lowdose.benchmark.choosing import divide
from lowdose.benchmark.ede2018 import FILTERS, EdeStudy, radial_spectrum
from lowdose.benchmark.ede2018_report import density, equalised
from lowdose.benchmark.em_denoise import GrapheneStudy
from lowdose.benchmark.happenings import event_values, signal, step_place, watch
from lowdose.benchmark.methods import NOISY, parse_method
from lowdose.benchmark.movie_sources import DrawnFilms
from lowdose.benchmark.sources import FolderPool, SimulatedPool, open_pool
from lowdose.errors import InputError, ParameterError
from lowdose.metrics import ssim
from lowdose.simulation.dataset import open_sample


@pytest.fixture(scope="module")
def sample():
    return SimulatedPool(dataset=open_sample())


def names(report):
    return {table.name for table in report.tables}


def test_ede2018_has_table_1_beside_the_published_one(benchmark):
    report, rows = benchmark(
        "ede2018", "tv-bregman:preset=ede2018", "general", count=2, size=64
    )
    assert {
        "table1",
        "published-table1",
        "table1-electrons",
        "gains",
        "histogram-low-mse",
        "error-maps",
    } <= names(report)
    assert "probably swapped" in report.to_markdown()
    assert len(rows["noisy"]) == 4
    table = {row["denoiser"]: row for row in report.tables[0].rows}
    assert set(table) == set(rows)
    # Bregman's weight of 0.1 nearly flattens the image.
    assert table["tv-bregman:preset=ede2018"]["ordinary_mse"] > (
        5 * table["noisy"]["ordinary_mse"]
    )
    assert table["general"]["low_mse"] < table["noisy"]["low_mse"]
    histogram = next(t for t in report.tables if t.name == "histogram-low-ssim")
    assert sum(row["noisy"] for row in histogram.rows) == 2
    assert len(histogram.rows) == 200


def test_ede2018_tests_sets_in_turns_and_tells_them_apart(benchmark):
    report, rows = benchmark(
        "ede2018", "gaussian", count=4, size=64, datasets=("sample", "sample")
    )
    by_set = next(table for table in report.tables if table.name == "by-set").rows
    for row in by_set:
        # Low and ordinary dose in turns, of the one and of the other set.
        errors = [entry["mse_electrons"] for entry in rows[row["denoiser"]][2::4]]
        assert row["low-sbd-sharp 2"] == pytest.approx(1e3 * np.mean(errors))


def test_specimens_of_every_set_are_set_aside():
    records = [{"set": "a", "specimen": f"a{n // 2}"} for n in range(60)]
    records += [{"set": "b", "specimen": f"b{n}"} for n in range(4)]
    tested, aside = divide(records, seed=0)
    assert sorted([*tested, *aside]) == list(range(64))
    of = [{records[n]["specimen"] for n in numbers} for numbers in (tested, aside)]
    assert not of[0] & of[1]
    assert [records[n]["set"] for n in tested[:6]] == ["a", "b"] * 3
    assert [records[n]["set"] for n in aside[:3]] == ["a", "b", "a"]


def test_ede2018_scores_as_the_paper_says(sample):
    study = EdeStudy(pool=sample, count=3, side=64)
    item = study.items[0]
    scene = study.scene(item)
    scores = study.score(item, scene, np.asarray, NOISY).rows[0]
    counts = np.asarray(scene.counts, float)
    seen = (counts - counts.min()) / np.ptp(counts)
    unit = scene.truth / scene.truth.max()
    truth = unit * seen.mean() / unit.mean()
    assert scores["mse"] == pytest.approx(np.mean((seen - truth) ** 2), rel=1e-4)
    assert scores["ssim"] == pytest.approx(
        ssim(seen, truth, data_range=np.ptp(seen)), rel=1e-4
    )
    expected = np.mean((counts / scores["dose"] - unit) ** 2)
    assert scores["mse_electrons"] == pytest.approx(expected, rel=1e-4)


def test_doses_of_ede2018_are_those_of_the_paper(sample):
    study = EdeStudy(pool=sample, count=200, side=16)
    doses = {"low": [], "ordinary": []}
    for item in study.items:
        doses[item.level].append(study.scene(item).more["dose"])
    assert min(doses["low"]) >= 25
    assert np.mean(doses["low"]) == pytest.approx(100, rel=0.2)
    assert 200 <= min(doses["ordinary"]) <= max(doses["ordinary"]) <= 2500
    assert np.mean(doses["ordinary"]) == pytest.approx(1350, rel=0.1)


def test_published_filters_keep_no_mean_that_they_did_not_keep():
    assert all(parse_method(text).as_published for text in FILTERS)


def test_densities_have_a_peak_of_one_and_maps_are_equalised():
    rng = np.random.default_rng(0)
    across, up = density(rng.normal(0.005, 0.001, 300), 0.012)
    assert max(up) == pytest.approx(1)
    assert across[int(np.argmax(up))] == pytest.approx(0.005, abs=0.0005)
    assert density(np.array([0.5]), 1.0) == ((), ())
    errors = rng.normal(1, 0.1, (64, 64)) + np.linspace(0, 5, 64)
    adapted = equalised(errors)
    assert 0 <= adapted.min() < adapted.max() <= 1
    assert (equalised(np.ones((32, 32))) == 0.5).all()


def test_a_spectrum_has_the_frequency_of_a_wave():
    wave = np.cos(2 * np.pi * 0.125 * np.arange(128)) * np.ones((128, 1))
    spectrum = radial_spectrum(wave)
    assert spectrum.sum() == pytest.approx(1)
    assert np.argmax(spectrum) == 32


def test_dose_has_curves_from_hardly_an_electron_to_thousands(benchmark):
    report, _ = benchmark("dose", "gaussian", count=1, doses=(0.05, 2500.0), size=96)
    assert {"psnr", "ssim", "gain", "harmed"} <= names(report)
    gain = next(table for table in report.tables if table.name == "gain").rows[1]
    assert gain["0.05"] > 5 > 0 > gain["2500"]
    harmed = next(table for table in report.tables if table.name == "harmed").rows[0]
    assert (harmed["0.05"], harmed["2500"]) == (0, 100)


def test_em_denoise_names_the_three_defects_and_scores_both_truths(benchmark):
    report, rows = benchmark("em-denoise", "gaussian", "general", count=2)
    text = report.to_markdown()
    assert text.count("Here ") == 3
    assert "no images of graphene" in text
    row = rows["gaussian"][0]
    assert row["mse_lit"] < row["mse"]
    table = {row["denoiser"]: row for row in report.tables[0].rows}
    assert table["general"]["minutes"] > 0
    assert table["general"]["weights"] > 1e5
    assert table["noisy"]["rate"] is None
    assert table["gaussian"]["rate"] > 0


def test_the_beam_of_em_denoise_is_the_one_in_the_recording(sample):
    study = GrapheneStudy(pool=sample, count=1)
    scene = study.scene(study.items[0])
    counts = np.asarray(scene.counts)
    lit, clean = scene.more["lit"], scene.more["clean"]
    assert np.mean((counts - lit) ** 2) < np.mean((counts - clean) ** 2)


def test_a_movie_has_scores_of_frames_and_of_its_hop(benchmark):
    report, rows = benchmark("movie", "gaussian", count=1)
    assert {"frames", "events-x1"} <= names(report)
    frames = [row for row in rows["noisy"] if row["part"] == "frame"]
    events = [row for row in rows["noisy"] if row["part"] == "event"]
    assert len(frames) == 16
    assert [row["event_frame"] for row in events] == [8]
    # The atom has 4 to 9 e-/px over some thirty pixels: even the counts show its hop.
    assert events[0]["frame_error"] == 0
    assert events[0]["contrast"] == pytest.approx(1, abs=0.3)


@pytest.fixture(scope="module")
def hop():
    film = DrawnFilms(number=1).film(0)
    (watched,) = watch(film, pixel_size=0.02)
    return film, watched


def scores_of(movie, hop):
    film, watched = hop
    found = signal(movie, film, watched.happening, watched.frames, pixel_size=0.02)
    return event_values(watched, found)


def test_the_clean_movie_shows_its_event_perfectly(hop):
    scores = scores_of(np.asarray(hop[0].rates), hop)
    assert (scores["frame_error"], scores["right_frame"]) == (0, 1)
    assert scores["contrast"] == pytest.approx(1)
    assert scores["leak"] == pytest.approx(0, abs=1e-5)
    assert scores["lag"] == pytest.approx(0, abs=1e-5)


def test_a_mean_over_frames_shows_the_event_before_and_after_it_happens(hop):
    rates = np.asarray(hop[0].rates, float)
    blurred = np.stack(
        [rates[max(0, t - 1) : t + 2].mean(0) for t in range(len(rates))]
    )
    scores = scores_of(blurred, hop)
    assert scores["leak"] == pytest.approx(1 / 3, abs=0.1)
    assert scores["lag"] == pytest.approx(1 / 3, abs=0.1)


def test_a_movie_that_is_late_is_late(hop):
    rates = np.asarray(hop[0].rates)
    late = np.concatenate([rates[:2], rates[:-2]])
    scores = scores_of(late, hop)
    assert scores["frame_error"] == 2
    assert scores["right_frame"] == 0


def test_a_movie_without_the_event_has_no_contrast(hop):
    rates = np.asarray(hop[0].rates)
    frozen = np.stack([rates[0]] * len(rates))
    assert abs(scores_of(frozen, hop)["contrast"]) < 0.3


def test_a_step_is_found_where_it_is_and_only_in_its_direction():
    values = np.array([0.0, 0.1, -0.1, 1.0, 1.1])
    assert step_place(values, 1.0) == 3
    assert step_place(values, -1.0) != 3
    assert step_place(np.zeros(4), 1.0) is None


def test_a_folder_of_micrographs_is_a_truth(tmp_path):
    rng = np.random.default_rng(0)
    calibration = lowdose.Calibration.from_spacing((0.5, 0.5), ("nm", "nm"))
    pixels = rng.normal(100, 5, (40, 52)).astype(np.float32)
    lowdose.write(tmp_path / "a.tif", lowdose.Micrograph(pixels, calibration, "a.tif"))
    (tmp_path / "notes.txt").write_text("not an image")
    pool = open_pool((), (tmp_path,), block=4)
    assert isinstance(pool, FolderPool)
    assert len(pool) == len(pool.records) == 1
    image = pool.image(0)
    assert image.shape == (10, 13)
    assert image.calibration.pixel_size("nm") == (2.0, 2.0)
    assert np.asarray(image).min() == 0
    means = pixels[:4, :4].mean() - pixels[:4, 4:8].mean()
    assert image.data[0, 0] - image.data[0, 1] == pytest.approx(means, abs=1e-3)


def test_a_folder_without_micrographs_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("not an image")
    with pytest.raises(InputError, match="no file in it"):
        open_pool((), (tmp_path,))
    with pytest.raises(ParameterError, match="no images"):
        open_pool((), ())


def test_sets_and_folders_are_mixed(tmp_path, sample):
    lowdose.write(tmp_path / "a.tif", lowdose.Micrograph(np.ones((8, 8), np.uint16)))
    pool = open_pool(("sample",), (tmp_path / "a.tif",))
    assert len(pool) == 17
    assert pool.image(16).shape == (8, 8)
    assert pool.image(3).shape == sample.image(3).shape
    assert {record["set"] for record in pool.records} == {"sbd-sharp", "files"}
