import dataclasses
import hashlib
import math
import pickle
import sys

import numpy as np
import pytest
from scipy.fft import dctn, idctn
from scipy.ndimage import gaussian_filter

from lowdose.errors import MissingExtraError, ParameterError
from lowdose.metrics import psnr
from lowdose.simulation.dataset import Dataset, open_sample
from lowdose.simulation.detectors import DETECTORS
from lowdose.simulation.generation import iter_simulate
from lowdose.simulation.presets import PRESETS, preset

pytest.importorskip("ase", reason="needs the extra 'simulate'")
pytest.importorskip("abtem", reason="needs the extra 'simulate'")

from lowdose.simulation.crystal_presets import (
    crystals_preset,
    graphene_preset,
    graphene_quick_preset,
)
from lowdose.simulation.movie_presets import movie_preset
from lowdose.simulation.particle_presets import (
    OTHER_METALS,
    metals_preset,
    sbd_preset,
    sbd_sharp_preset,
)

SBD = sbd_preset(pixel_size=0.02, size=100)
GOLD = crystals_preset(structure="Au", pixel_size=0.025, size=64)


def finish(job):
    for _ in job:
        pass


def test_every_preset_of_the_command_line_is_there():
    assert set(PRESETS) == {
        "sbd",
        "sbd-sharp",
        "metals",
        "graphene",
        "graphene-quick",
        "crystals",
        "stem-crystals",
        "movie",
        "drawn",
    }
    assert all(chosen.name == name for name, chosen in PRESETS.items())


def test_misspelt_presets_and_structures_out_of_place_are_explained(tmp_path):
    with pytest.raises(ParameterError, match="Did you mean 'graphene'"):
        preset("graphen")
    with pytest.raises(ParameterError, match="only crystals and stem-crystals take"):
        preset("sbd", structure="SrTiO3")


def test_a_series_shows_one_specimen_at_growing_defocus_on_a_known_vacuum():
    rendered = SBD.render(1, 0, None)
    assert rendered.images.shape == (4, 100, 100)
    assert rendered.images.dtype == np.float32
    defocus = [record["defocus"] for record in rendered.records]
    assert defocus == sorted(defocus)
    assert all(value == int(value) for value in defocus)
    assert set(np.diff(defocus)) <= {5, 6}
    assert 0 <= defocus[0] <= 5
    assert 15 <= defocus[-1] <= 20
    assert len({record["specimen_seed"] for record in rendered.records}) == 1
    assert {record["contrast"] for record in rendered.records} <= {
        "black",
        "intermediate",
        "white",
        "none",
    }
    shown = [record["column_contrast"] for record in rendered.records]
    assert np.argmax(shown) > 1
    assert np.argmin(shown) == 0
    middle = np.median(rendered.images)
    assert middle == pytest.approx(0.45, rel=0.25)


def test_contrast_and_noise_of_the_preset_sbd_are_those_of_sbd():
    view = sbd_preset(pixel_size=0.0183, size=240)
    images = np.concatenate([view.render(1, n, None).images for n in range(3)])
    spread = images.std((1, 2)) / images.mean((1, 2))
    assert 0.075 < np.median(spread) < 0.18
    assert spread.min() > 0.03
    assert spread.max() < 0.25
    noisy = np.random.default_rng(0).poisson(images)
    psnr = -10 * np.log10(np.mean((noisy - images) ** 2, axis=(1, 2)))
    assert psnr.mean() == pytest.approx(3.56, abs=0.2)


@pytest.fixture(scope="module")
def kinds():
    """Return the same specimen by ``sbd`` and by ``sbd-sharp``."""
    return {name: PRESETS[name].render(77, 3, None) for name in ("sbd", "sbd-sharp")}


def test_sbd_shows_the_specimens_of_sbd_sharp_with_more_vibration(kinds):
    ours, sharp = kinds["sbd"], kinds["sbd-sharp"]
    changed = {"vibration", "contrast_factor", "column_contrast"}
    for blurred, record, image, known in zip(
        ours.images, ours.records, sharp.images, sharp.records, strict=True
    ):
        assert {k for k in record if record[k] != known[k]} - {"contrast"} == changed
        assert abs(record["column_contrast"]) < abs(known["column_contrast"])
        assert record["contrast_factor"] == pytest.approx(
            1.1 * known["contrast_factor"]
        )
        further = math.sqrt(record["vibration"] ** 2 - known["vibration"] ** 2)
        assert further == pytest.approx(0.034)
        expected = gaussian_filter(image.astype(float), further / record["pixel_size"])
        expected = 0.45 + 1.1 * (expected - 0.45)
        inner = slice(30, -30)  # the simulation knows what is beyond the border
        np.testing.assert_allclose(
            blurred[inner, inner], expected[inner, inner], atol=1e-4
        )
    without = sbd_preset(pixel_size=0.02, size=100, vibration=0, contrast=1)
    np.testing.assert_array_equal(
        without.render(1, 0, None).images,
        sbd_sharp_preset(pixel_size=0.02, size=100).render(1, 0, None).images,
    )


@pytest.mark.parametrize(
    ("name", "gaussian", "extremes", "kept"),
    [
        # SBD's images: 29.6 dB, 0.337 to 0.634 e-/px, 63 dB.
        ("sbd", (27.5, 31), ((0.3, 0.4), (0.52, 0.7)), (57, 90)),
        ("sbd-sharp", (24, 28), ((0.2, 0.35), (0.65, 1)), (35, 55)),
    ],
)
def test_only_sbd_is_as_sharp_as_the_images_of_sbd(
    name, gaussian, extremes, kept, kinds
):
    rendered = kinds[name]
    number = max(range(4), key=lambda n: rendered.records[n]["column_contrast"])
    assert rendered.records[number]["contrast"] == "white"
    frame = rendered.images[number].astype(float)
    noisy = np.random.default_rng(0).poisson(frame).astype(float)
    best = max(
        psnr(gaussian_filter(noisy, sigma), frame, convention="sbd")
        for sigma in range(2, 9)
    )
    assert gaussian[0] < best < gaussian[1]
    for value, (low, high) in zip((frame.min(), frame.max()), extremes, strict=True):
        assert low < value < high
    spectrum = dctn(frame, norm="ortho")
    spectrum[90:] = spectrum[:, 90:] = 0
    limited = idctn(spectrum, norm="ortho")
    assert kept[0] < psnr(limited, frame, convention="sbd") < kept[1]


def test_metals_take_turns():
    chosen = metals_preset(pixel_size=0.02, size=100)
    assert len(OTHER_METALS) == 7
    rendered = [chosen.render(3, number, None) for number in (0, 6, 7)]
    metals = [one.records[0]["metal"] for one in rendered]
    assert metals == [OTHER_METALS[0], OTHER_METALS[6], OTHER_METALS[0]]
    assert SBD.render(3, 0, None).records[0]["metal"] == "Pt"


def test_a_simulated_set_is_the_same_with_one_and_two_workers(tmp_path):
    digests = set()
    for workers in (1, 2):
        path = tmp_path / f"{workers}.h5"
        finish(iter_simulate(GOLD, path, count=3, seed=1, workers=workers))
        digests.add(hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(digests) == 1
    with Dataset(path) as dataset:
        assert len(dataset) == 3  # the second series is cut short
        assert dataset.specimens.tolist() == [0, 1]
        assert dataset.movie(0).shape == (2, 64, 64)
        assert dataset.micrograph(0).calibration.pixel_size() == (0.025, 0.025)
        assert len(dataset.filter(defocus=(None, 0))) == 2
        assert len(dataset.filter(structure="Au", defocus=(0, 20))) == 1
        parts = dataset.split({"a": 0.5, "b": 0.5})
        assert not set(parts["a"].specimens) & set(parts["b"].specimens)
        with pytest.raises(ParameterError, match="Did you mean 'defocus'"):
            dataset.filter(defocs=3)
        with pytest.raises(ParameterError, match="no range"):
            dataset.filter(contrast=("black", "white"))


def test_a_cache_of_exit_waves_changes_no_pixel(tmp_path):
    plain = SBD.render(1, 0, None).images
    np.testing.assert_array_equal(SBD.render(1, 0, tmp_path).images, plain)
    assert any(tmp_path.rglob("*"))
    np.testing.assert_array_equal(SBD.render(1, 0, tmp_path).images, plain)


def test_a_movie_has_its_events_in_view_and_in_its_file(tmp_path):
    small = movie_preset(pixel_size=0.044, size=100, frames=4)
    path = tmp_path / "movie.h5"
    finish(iter_simulate(small, path, count=1, seed=2))
    with Dataset(path) as dataset:
        assert len(dataset) == 4
        movie = dataset.movie(0)
        assert movie.calibration.axes[0].unit == "s"
        assert movie.calibration.axes[0].spacing == pytest.approx(0.025)
        events = dataset.events
        assert 1 <= len(events) <= 3
        assert set(events["kind"]) <= {"appear", "hop", "vanish"}
        for event in events:
            after = event["kind"] != "vanish"
            y, x = (event[f"{axis}_{'after' if after else 'before'}"] for axis in "yx")
            assert 0 < y < 100
            assert 0 < x < 100


def test_the_sample_set_is_what_its_plan_makes():
    with open_sample() as sample:
        assert len(sample) == 16
        assert set(sample.parameters["contrast"]) >= {"white", "intermediate"}
        options = sample.plan.options
        assert sample.plan.preset == "sbd-sharp"
        rendered = sbd_sharp_preset(**options).render(sample.plan.seed, 0, None)
        # Another version of the software may round differently.
        np.testing.assert_allclose(rendered.images[1], sample[1], atol=1e-3)
        known, again = sample.parameters[1], rendered.records[1]
        assert known["contrast"] == again["contrast"]
        assert known["column_contrast"] == pytest.approx(
            again["column_contrast"], abs=1e-3
        )


@pytest.mark.parametrize("package", ["ase", "abtem"])
def test_a_missing_extra_is_named_even_by_another_process(package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        MissingExtraError, match=r"napari-lowdose\[simulate\]"
    ) as raised:
        SBD.render(1, 0, None)
    sent = pickle.loads(pickle.dumps(raised.value))
    assert isinstance(sent, MissingExtraError)
    assert str(sent) == str(raised.value)


@pytest.fixture(scope="module")
def sheet(tmp_path_factory):
    path = tmp_path_factory.mktemp("sheet") / "set.h5"
    finish(
        iter_simulate(graphene_preset(pixel_size=0.04, size=12), path, count=2, seed=1)
    )
    with Dataset(path) as dataset:
        yield dataset


def test_a_sheet_is_imaged_by_transmission_and_by_scanning(sheet):
    assert len(sheet) == 2
    assert sheet.frame_shape == (12, 12)
    transmitted, scanned = sheet.record(0), sheet.record(1)
    assert (transmitted["mode"], scanned["mode"]) == ("tem", "stem")
    assert math.isnan(transmitted["collected"])
    assert 0 < scanned["collected"] < 0.1  # a sheet sends little to high angles
    assert sheet[1].max() == pytest.approx(1)
    assert sheet[1].min() >= 0
    assert (transmitted["detector"], scanned["detector"]) == ("em-graphene", "scan")
    assert scanned["line_jitter"] > 0
    assert 0 < np.hypot(scanned["drift_y"], scanned["drift_x"]) < 0.15
    assert math.isnan(transmitted["line_jitter"])
    assert sheet[0].mean() == pytest.approx(1, abs=0.05)


def test_the_quick_sheet_is_the_same_sheet_scanned_by_the_linear_model(sheet):
    quick = graphene_quick_preset(pixel_size=0.04, size=12).render(1, 0, None)
    np.testing.assert_array_equal(quick.images[0], sheet[0])
    slow, linear = sheet[1], quick.images[1]
    assert not np.array_equal(slow, linear)
    assert np.corrcoef(slow.ravel(), linear.ravel())[0, 1] > 0.95
    known = sheet.record(1)
    for key in ("defocus", "line_jitter", "row_noise", "detector", "mode"):
        assert quick.records[1][key] == known[key]


def test_scanned_images_are_recorded_with_their_own_noise_of_rows(sheet):
    assert sheet.detector_of(0) == DETECTORS["em-graphene"]
    drawn = sheet.record(1)["row_noise"]
    assert drawn != DETECTORS["scan"].row_noise
    assert sheet.detector_of(1) == dataclasses.replace(
        DETECTORS["scan"], row_noise=drawn
    )
    assert sheet.units["line_jitter"] == "nm"


def test_crystals_of_ones_own_are_simulated():
    assert GOLD.options["structure"] == "Au"
    rendered = GOLD.render(1, 1, None)
    assert rendered.images.shape == (2, 64, 64)
    assert {record["structure"] for record in rendered.records} == {"Au"}
    with pytest.raises(ParameterError):
        crystals_preset(structure="Unobtainium")
