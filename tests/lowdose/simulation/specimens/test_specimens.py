import json

import numpy as np
import pytest
from scipy.spatial import cKDTree

pytest.importorskip("ase")

from lowdose.errors import FormatError, InputError, ParameterError
from lowdose.simulation.specimens import (
    CrystalParameters,
    GrapheneParameters,
    NanoparticleParameters,
    assemble,
    crystal,
    graphene,
    list_sheets,
    nanoparticle,
    particle_model,
)
from lowdose.simulation.specimens.carbon_network import GRAPHENE, grow, relax

BUILDERS = [
    (NanoparticleParameters, nanoparticle),
    (GrapheneParameters, graphene),
    (CrystalParameters, crystal),
]


def small(**values):
    return NanoparticleParameters(
        size=2.0, depth=1.6, thickness=2.0, field_height=3, field_width=3, **values
    )


def count(specimen, element):
    return specimen.atoms.get_chemical_symbols().count(element)


@pytest.mark.parametrize(("kind", "build"), BUILDERS)
def test_random_parameters_build_reproducibly_and_are_recorded(kind, build):
    for seed in range(8):
        parameters = kind.draw(np.random.default_rng(seed), height=2.5, width=3)
        first, second = build(parameters, seed), build(parameters, seed)
        np.testing.assert_array_equal(first.atoms.positions, second.atoms.positions)
        record = first.record()
        assert json.loads(json.dumps(record)) == record
        assert record["seed"] == seed
        assert record["field_width"] == 3
        assert not any(isinstance(value, (list, dict)) for value in record.values())


@pytest.mark.parametrize(("kind", "build"), BUILDERS)
def test_every_atom_lies_inside_its_cell(kind, build):
    for seed in range(4):
        parameters = kind.draw(np.random.default_rng(seed), height=2.5, width=2.5)
        atoms = build(parameters, seed).atoms
        assert np.all(atoms.positions >= 0)
        assert np.all(atoms.positions <= atoms.cell.lengths())


def test_another_seed_gives_other_displacements():
    parameters = small(disorder=0.005)
    one, two = (nanoparticle(parameters, seed).atoms.positions for seed in (1, 2))
    assert one.shape != two.shape or not np.allclose(one, two)


# The distance of nearest neighbours [nm], half the diagonal of a face of the cube.
@pytest.mark.parametrize(
    ("metal", "bond"), [("Pt", 0.2774), ("Au", 0.2884), ("Cu", 0.2556), ("Ni", 0.2492)]
)
def test_the_particle_has_the_size_asked_for_and_the_bonds_of_its_metal(metal, bond):
    specimen = nanoparticle(
        NanoparticleParameters(content="particle", metal=metal, size=3, depth=2.5), 0
    )
    assert set(specimen.atoms.symbols) == {metal}
    positions = specimen.atoms.positions / 10
    extent = np.ptp(positions, axis=0)
    # To within an atom at either side.
    assert extent[0] == pytest.approx(3, abs=2 * bond)
    assert extent[2] == pytest.approx(2.5, abs=2 * bond)
    nearest = cKDTree(positions).query(positions, k=2)[0][:, 1]
    np.testing.assert_allclose(nearest, bond, rtol=3e-4)


def test_the_support_keeps_ceria_in_proportion_and_below_the_particle():
    specimen = nanoparticle(small(), 3)
    symbols = np.array(specimen.atoms.get_chemical_symbols())
    assert count(specimen, "O") / count(specimen, "Ce") == pytest.approx(2, rel=0.1)
    lowest_platinum = specimen.atoms.positions[symbols == "Pt", 1].max()
    assert specimen.atoms.positions[symbols == "O", 1].min() > lowest_platinum


def test_contents_leave_out_what_they_should():
    assert set(nanoparticle(small(content="particle"), 0).atoms.symbols) == {"Pt"}
    assert set(nanoparticle(small(content="support"), 0).atoms.symbols) == {"Ce", "O"}
    assert len(nanoparticle(small(content="vacuum"), 0).atoms) == 0


def missing_by_column(defect):
    perfect = particle_model(small(), 5)
    changed = particle_model(small(defect=defect), 5)
    gone = perfect.occupied & ~changed.occupied
    assert not np.any(changed.occupied & ~perfect.occupied)
    return {
        int(column): (
            int(gone[perfect.columns == column].sum()),
            int(perfect.occupied[perfect.columns == column].sum()),
        )
        for column in np.unique(perfect.columns[gone])
    }


def test_defect_classes_deplete_columns_as_documented():
    assert missing_by_column("D0") == {}
    assert [gone == held for gone, held in missing_by_column("D1").values()] == [True]
    twice = missing_by_column("D2").values()
    assert [gone == held for gone, held in twice] == [True, True]
    [(gone, held)] = missing_by_column("Dh").values()
    assert gone == held // 2
    [(gone, held)] = missing_by_column("Ds").values()
    assert gone == held - 1


def test_added_columns_sit_on_the_surface():
    perfect = particle_model(small(), 5)
    model = particle_model(small(adatom_columns=2, adatom_fraction=0.5), 5)
    added = model.occupied & ~perfect.occupied
    assert len(np.unique(model.columns[added])) == 2
    held = perfect.sites[perfect.occupied]
    near = cKDTree(held).query_ball_point(model.sites[added], 0.3)
    assert min(map(len, near)) >= 3


def test_a_model_makes_the_frames_of_a_movie():
    model = particle_model(small(surface_disorder=0.01), 2)
    whole = assemble(model)
    columns = model.surface_columns(model.occupied)
    occupied = model.occupied & (model.columns != columns[0])
    fewer = assemble(model, occupied=occupied)
    assert count(fewer, "Pt") == occupied.sum()
    shifted = assemble(model, shift=(0.1, 0.2))
    symbols = np.array(whole.atoms.get_chemical_symbols())
    moved = np.array(shifted.atoms.get_chemical_symbols())
    difference = (
        shifted.atoms.positions[moved == "Pt"] - whole.atoms.positions[symbols == "Pt"]
    )
    np.testing.assert_allclose(difference[:, :2], [[2.0, 1.0]] * len(difference))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"depth": 5, "thickness": 3}, "hang over"),
        ({"size": 6, "field_width": 4}, "does not fit"),
        ({"size": -1}, "size=-1"),
        ({"defect": "D7"}, "'D7'"),
        ({"tilt_x": float("nan")}, "tilt_x=nan"),
    ],
)
def test_impossible_particles_are_refused_with_reason(values, words):
    with pytest.raises(ParameterError, match=words):
        NanoparticleParameters(**values)


def test_a_particle_outside_the_view_is_refused_unless_it_may_be_cut():
    with pytest.raises(ParameterError, match="reaches"):
        nanoparticle(small(centre=0.0), 0)
    assert count(nanoparticle(small(centre=0.0, may_be_cut=True), 0), "Pt") > 0


def test_perfect_graphene_has_its_bond_length_and_three_neighbours():
    positions = graphene(
        GrapheneParameters(field_height=2.5, field_width=2.5), 0
    ).atoms.positions
    inside = np.all(
        np.abs(positions[:, :2] - positions[:, :2].mean(axis=0)) < 12, axis=1
    )
    distance = cKDTree(positions).query(positions[inside], k=4)[0][:, 1:]
    np.testing.assert_allclose(distance, 10 * GRAPHENE / np.sqrt(3), rtol=1e-3)


def test_grain_boundaries_keep_every_atom_threefold_and_bonded():
    network = grow(6, 6, 2, 0.0, np.random.default_rng(4))
    relax(network)
    inside = np.all(np.abs(network.positions) < 2.5, axis=1)
    assert {len(network.bonds[atom]) for atom in np.flatnonzero(inside)} == {3}
    lengths = [
        np.linalg.norm(network.positions[atom] - network.positions[other])
        for atom in np.flatnonzero(inside)
        for other in network.bonds[atom]
    ]
    assert min(lengths) > 0.11
    assert max(lengths) < 0.19
    assert np.std(lengths) > 1e-4  # there is a boundary at all


def test_point_defects_change_the_number_of_atoms_as_they_should():
    sheet = {"field_height": 3, "field_width": 3}
    whole = graphene(GrapheneParameters(**sheet), 1)
    defects = {"vacancies": 2, "divacancies": 1}
    fewer = graphene(GrapheneParameters(**sheet, **defects), 1)
    assert len(whole.atoms) - len(fewer.atoms) == 4
    turned = graphene(GrapheneParameters(**sheet, stone_wales=2), 1)
    assert len(turned.atoms) == pytest.approx(len(whole.atoms), abs=3)
    doped = graphene(GrapheneParameters(**sheet, dopants=3, dopant="Si"), 1)
    assert count(doped, "Si") == 3


def test_silicon_pushes_its_neighbours_away():
    specimen = graphene(
        GrapheneParameters(field_height=3, field_width=3, dopants=1, dopant="Si"), 1
    )
    positions = specimen.atoms.positions
    silicon = specimen.atoms.get_chemical_symbols().index("Si")
    distance = np.sort(np.linalg.norm(positions - positions[silicon], axis=1))[1:4]
    assert distance.min() > 1.52
    assert distance.max() < 1.8


def test_too_many_defects_are_refused():
    parameters = GrapheneParameters(field_height=1, field_width=1, vacancies=500)
    with pytest.raises(ParameterError, match="room for"):
        graphene(parameters, 0)


def test_a_crystal_is_as_dense_as_its_cell_says():
    specimen = crystal(
        CrystalParameters(structure="Si", zone_axis=(1, 1, 0), thickness=3), 0
    )
    height, width = specimen.field.cell
    assert len(specimen.atoms) / (height * width * 3) == pytest.approx(
        8 / 0.5431**3, rel=0.08
    )


def test_the_zone_axis_lies_along_the_beam():
    specimen = crystal(CrystalParameters(structure="Au", zone_axis=(1, 1, 0)), 0)
    positions = specimen.atoms.positions
    first = positions[len(positions) // 2]
    column = np.linalg.norm(positions[:, :2] - first[:2], axis=1) < 0.01
    spacing = np.diff(np.sort(positions[column, 2]))
    np.testing.assert_allclose(spacing, 4.0786 / np.sqrt(2), rtol=1e-6)


@pytest.mark.parametrize("name", list_sheets())
def test_a_slab_of_a_sheet_is_one_layer_of_whole_cells(name):
    sheet = crystal(
        CrystalParameters(
            structure=name, thickness=1.0, tilt_x=2.0, field_height=3, field_width=3
        ),
        seed=1,
    )
    height = sheet.atoms.positions[:, 2]
    # Two layers would be 2 nm apart.
    assert np.ptp(height) < 10 * (0.32 + 4.4 * np.sin(np.radians(2.0))) + 1e-6
    symbols = sheet.atoms.get_chemical_symbols()
    metal = count(sheet, symbols[0])
    others = len(symbols) - metal
    per_metal = 1 if name == "BN" else 2
    assert others / metal == pytest.approx(per_metal, rel=0.05)


def test_a_wedge_leaves_vacuum_and_grows_thicker():
    parameters = CrystalParameters(
        structure="Au", shape="wedge", edge=0.4, thickness=6, direction=0
    )
    x = crystal(parameters, 0).atoms.positions[:, 0] / 10 - parameters.margin
    assert x.min() > 0.4 * 5 - 0.5
    assert np.sum((x > 4) & (x < 5)) > 2 * np.sum((x > 2) & (x < 3))


def test_a_cif_of_ones_own_is_read(tmp_path):
    import ase.build
    import ase.io

    path = tmp_path / "mine.cif"
    ase.io.write(path, ase.build.bulk("NaCl", "rocksalt", 5.64, cubic=True))
    specimen = crystal(CrystalParameters(structure=str(path), thickness=1), 0)
    assert set(specimen.atoms.symbols) == {"Na", "Cl"}


def test_bad_structures_are_refused_with_reason(tmp_path):
    with pytest.raises(ParameterError, match="Did you mean"):
        crystal(CrystalParameters(structure="SrTi03"), 0)
    with pytest.raises(InputError, match="There is no file"):
        crystal(CrystalParameters(structure="absent.cif"), 0)
    broken = tmp_path / "broken.cif"
    broken.write_text("this is no structure")
    with pytest.raises(FormatError, match=r"broken\.cif"):
        crystal(CrystalParameters(structure=str(broken)), 0)
    with pytest.raises(ParameterError, match="million atoms"):
        crystal(CrystalParameters(field_height=200, field_width=200), 0)
    with pytest.raises(ParameterError, match="no direction"):
        CrystalParameters(zone_axis=(0, 0, 0))
