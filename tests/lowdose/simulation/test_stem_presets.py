import hashlib

import numpy as np
import pytest

from lowdose.errors import ParameterError
from lowdose.simulation.dataset import Dataset
from lowdose.simulation.detectors import DETECTORS
from lowdose.simulation.generation import iter_simulate

pytest.importorskip("ase", reason="needs the extra 'simulate'")
pytest.importorskip("abtem", reason="needs the extra 'simulate'")

from lowdose.simulation.stem_presets import stem_crystals_preset

SMALL = stem_crystals_preset(pixel_size=0.025, size=64)


def make(path, preset=SMALL, **options):
    for _ in iter_simulate(preset, path, **{"count": 12, "seed": 2, **options}):
        pass
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    with Dataset(make(tmp_path_factory.mktemp("stem") / "set.h5")) as dataset:
        yield dataset


def test_images_have_a_mean_of_one_and_nothing_negative(made):
    images = np.stack(list(made))
    assert images.shape == (12, 64, 64)
    assert images.min() >= 0
    np.testing.assert_allclose(images.mean((1, 2)), 1, rtol=1e-4)
    assert made.vacuum == 0


def test_a_specimen_is_scanned_twice_by_different_probes(made):
    table = made.parameters
    for number in made.specimens:
        first, second = table[table["specimen"] == number]
        assert first["specimen_seed"] == second["specimen_seed"]
        assert first["convergence"] != second["convergence"]
        assert first["line_jitter"] != second["line_jitter"]


def test_what_was_drawn_is_within_its_ranges(made):
    table = made.parameters
    for name, low, high in (
        ("energy", 60, 300),
        ("convergence", 20, 35),
        ("exponent", 1.6, 1.8),
        ("displacement", 0.005, 0.01),
        ("source_size", 0.02, 0.05),
        ("row_noise", 0, 30),
    ):
        assert table[name].min() >= low
        assert table[name].max() <= high
    assert set(table["mode"]) == {"stem"}
    assert made.detector_of(0).gain == DETECTORS["scan"].gain
    assert made.detector_of(0).row_noise == pytest.approx(table["row_noise"][0])
    assert "algorithm" not in table.dtype.names


def test_crystals_sheets_and_graphene_fit_into_one_table(tmp_path):
    tiny = stem_crystals_preset(pixel_size=0.04, size=24)
    kinds = {
        record["kind"] if record["kind"] == "graphene" else record["structure"]
        for number in range(25)
        for record in tiny.render(1, number, None).records
    }
    assert "graphene" in kinds
    assert kinds & {"MoS2", "MoSe2", "WS2", "WSe2", "BN"}
    assert len(kinds) > 8
    with Dataset(make(tmp_path / "set.h5", tiny, count=50, seed=1)) as dataset:
        assert len(dataset.filter(kind="graphene")) > 0
        assert dataset.units["displacement"] == "nm"


def test_the_same_seed_gives_the_same_set_whatever_the_number_of_workers(
    made, tmp_path
):
    path = make(tmp_path / "set.h5", workers=2)
    digests = [hashlib.sha256(p.read_bytes()).hexdigest() for p in (path, made.path)]
    assert digests[0] == digests[1]


def test_a_structure_of_ones_own_is_taken():
    own = stem_crystals_preset(structure="SrTiO3", pixel_size=0.04, size=24)
    assert own.options["structure"] == "SrTiO3"
    assert {r["structure"] for r in own.render(1, 0, None).records} == {"SrTiO3"}
    with pytest.raises(ParameterError):
        stem_crystals_preset(structure="Unobtainium")
