"""The protocol sbd on the sample set: every part of it, at its smallest."""

import numpy as np
import pytest

from lowdose.benchmark import tuning
from lowdose.benchmark.ede2018 import EdeStudy
from lowdose.benchmark.jobs import TuneJob
from lowdose.benchmark.methods import parse_methods
from lowdose.benchmark.sbd import SbdStudy, check_pool
from lowdose.benchmark.sources import SimulatedPool
from lowdose.benchmark.structure import true_structure
from lowdose.benchmark.structure_scores import column_values, vacuum_values
from lowdose.errors import ParameterError
from lowdose.metrics import psnr
from lowdose.micrograph import Micrograph
from lowdose.simulation.dataset import open_sample
from lowdose.simulation.samples import VACUUM, draw_movie


@pytest.fixture(scope="module")
def study():
    return SbdStudy(pool=SimulatedPool(dataset=open_sample()), count=2)


@pytest.fixture(scope="module")
def white(study):
    item = next(item for item in study.items if item.record["contrast"] == "white")
    return item, study.scene(item)


@pytest.fixture(scope="module")
def drawn():
    """A particle on a support, with vacuum above it, and its structure."""
    movie = draw_movie()[1]
    clean = Micrograph(movie.frame(0), movie.calibration.last(2))
    return clean, true_structure(clean, vacuum=VACUUM, polarity="bright")


def test_the_report_has_every_table_and_the_blur_is_better_than_the_counts(benchmark):
    report, rows = benchmark(
        "sbd", "gaussian:sigma=4", count=1, contrasts=("white", "intermediate")
    )
    names = [table.name for table in report.tables]
    assert {
        "fidelity",
        "atoms",
        "surface-by-detectability",
        "vacuum",
        "psnr-by-contrast",
        "psnr-by-defocus",
        "published-networks",
        "field",
        "field-middle",
    } <= set(names)
    assert len(rows["noisy"]) == len(rows["gaussian:sigma=4"]) == 2
    noisy, blurred = rows["noisy"][0], rows["gaussian:sigma=4"][0]
    assert blurred["psnr"] > noisy["psnr"] + 10
    # SBD's clipping is kind to noise: raw counts gain nearly 3 dB by it.
    assert noisy["psnr"] > noisy["psnr_unclipped"] + 2
    assert blurred["psnr"] == pytest.approx(blurred["psnr_unclipped"], abs=0.05)
    assert {"psnr_tiled", "field_192", "field_middle_48", "surface_f1"} <= set(blurred)


def test_scores_are_of_electrons_at_the_dose_of_the_set(study, white):
    item, scene = white
    scores = study.score(item, scene, np.asarray, _Noisy).rows[0]
    assert scores["psnr"] == pytest.approx(
        psnr(scene.counts, scene.truth, convention="sbd")
    )


def test_no_specimen_is_both_tuned_on_and_tested(study):
    tested = {item.record["specimen"] for item in study.items}
    aside = {study.pool.records[n]["specimen"] for n in study._divided[1]}
    assert aside
    assert not tested & aside


def test_more_images_begin_with_the_same_ones():
    pool = SimulatedPool(dataset=open_sample())
    few = {item.key for item in SbdStudy(pool=pool, count=1).items}
    many = {item.key for item in SbdStudy(pool=pool, count=3).items}
    assert few < many


def test_a_class_that_is_not_there_is_refused():
    pool = SimulatedPool(dataset=open_sample().filter(contrast="white"))
    with pytest.raises(ParameterError, match="no images of black contrast"):
        _ = SbdStudy(pool=pool, count=1, contrasts=("black",)).items


def test_the_truth_has_every_column_and_an_empty_vacuum(drawn):
    clean, structure = drawn
    values = column_values(structure, clean)
    assert values["f1"] == values["surface_f1"] == values["surface_atoms_f1"] == 1
    assert values["surface_strict_f1"] == 1
    assert values["position_error_pm"] < 1
    assert values["invented_in_vacuum"] == 0
    assert vacuum_values(structure, clean.data, clean.data)["vacuum_rms"] == 0


def test_surface_columns_are_easier_to_see_at_more_dose(drawn):
    clean, structure = drawn
    low, high = (
        column_values(structure, clean, dose=dose)["surface_detectability"]
        for dose in (1, 4)
    )
    assert low > 0
    assert high == pytest.approx(2 * low)


def test_a_column_painted_into_the_vacuum_is_counted(drawn):
    clean, structure = drawn
    inside = structure.vacuum & (structure.distance > 0.5)
    inside[:20] = inside[-20:] = inside[:, :20] = inside[:, -20:] = False
    y, x = np.argwhere(inside)[0]
    scale = structure.columns.scale
    height = np.median(structure.columns.height)
    rows, columns = np.indices(clean.shape)
    blob = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * scale**2))
    painted = (clean.data + height * blob).astype(np.float32)
    values = column_values(structure, clean.replace(data=painted))
    assert values["invented_in_vacuum"] == 1
    assert vacuum_values(structure, painted, clean.data)["vacuum_rms"] > 0


def test_a_column_rubbed_out_at_the_surface_is_missed(drawn):
    clean, structure = drawn
    y, x = structure.columns.positions[structure.surface][0]
    rows, columns = np.indices(clean.shape)
    near = np.hypot(rows - y, columns - x) < 2.5 * structure.columns.scale
    rubbed = np.where(near, np.float32(VACUUM), clean.data)
    values = column_values(structure, clean.replace(data=rubbed))
    assert values["missed_columns"] >= 1
    assert values["surface_there"] < 1
    assert values["surface_strict_f1"] <= values["surface_atoms_f1"] < 1


def test_a_surface_column_a_little_too_weak_is_wrong_by_one_threshold_alone(drawn):
    clean, structure = drawn
    y, x = structure.columns.positions[structure.surface][0]
    rows, columns = np.indices(clean.shape)
    blob = np.exp(
        -((rows - y) ** 2 + (columns - x) ** 2) / (2 * structure.columns.scale**2)
    )
    height = structure.columns.height[structure.surface][0]

    def with_share(left):
        """Return the image with so much left of that column."""
        pixels = (clean.data - (1 - left) * height * blob).astype(np.float32)
        return clean.replace(data=pixels)

    def right(truth, estimate):
        true = true_structure(truth, vacuum=VACUUM, polarity="bright")
        values = column_values(true, estimate)
        assert values["surface_strict_f1"] <= values["surface_atoms_f1"]
        return values["surface_strict_f1"] == 1, values["surface_atoms_f1"] == 1

    def near(share):
        """Return whether the column counts at this share, and at a little less."""
        found = right(clean, with_share(share))
        return found[0], right(with_share(share), with_share(share)) == (True, True)

    # The lowest share at which it is a column, by bisection.
    low, high = 0.0, 1.0
    for _ in range(7):
        middle = (low + high) / 2
        low, high = (low, middle) if near(middle)[0] else (middle, high)
    above, below = with_share(1.1 * high), with_share(0.9 * high)
    # A little above in the truth and below in the estimate, and the other way round.
    assert right(above, below) == (False, True)
    assert right(below, above) == (False, True)
    # Strong in the one and weak in the other is wrong whichever it is.
    assert right(clean, below) == (False, False)
    assert right(below, clean) == (False, False)
    assert right(clean, with_share(0.0)) == (False, False)


def test_a_set_without_the_contrast_of_columns_is_refused():
    pool = SimulatedPool(dataset=open_sample())
    assert check_pool(pool) is pool
    names = [n for n in pool.dataset.parameters.dtype.names if n != "column_contrast"]
    older = SimulatedPool(dataset=_Older(pool.dataset, names))
    with pytest.raises(ParameterError, match="earlier version"):
        check_pool(older)


def test_filters_are_tuned_in_the_units_of_the_scores(study, monkeypatch):
    scenes = EdeStudy(pool=study.pool, count=1, side=64).tuning_scenes("low")
    assert all(scene.unit > 20 for scene in scenes)
    assert all(scene.truth.max() <= scene.unit * 1.01 for scene in scenes)
    asked = {}

    def tuned(name, counts, truth, **more):
        asked.update(more, truth=truth)
        return {"sigma": 1.0}

    monkeypatch.setattr(tuning, "tune_to_truth", tuned)
    for studied, score in (
        (EdeStudy(pool=study.pool, count=1), "mse"),
        (study, "psnr"),
    ):
        (method,) = (m for m in parse_methods(["tuned:gaussian"]) if m.spec)
        level = studied.items[0].level
        ((_, _, values),) = TuneJob(study=studied).run((method, level))
        assert values == {"sigma": 1.0}
        assert asked["score"] == score
        assert np.ptp(asked["truth"]) <= 1.5


def test_an_image_without_columns_has_no_structure(drawn):
    clean, _ = drawn
    empty = clean.replace(data=np.full(clean.shape, 0.45, np.float32))
    assert true_structure(empty, vacuum=0.45, polarity="bright") is None


class _Older:
    """A set of a version that did not have some columns."""

    def __init__(self, dataset, names):
        self._dataset = dataset
        self.parameters = dataset.parameters[names]

    def __len__(self):
        return len(self._dataset)

    def __getattr__(self, name):
        return getattr(self._dataset, name)


class _Noisy:
    spec = None
