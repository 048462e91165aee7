import numpy as np
import pytest
from scipy import fft

from lowdose.errors import ParameterError

pytest.importorskip("ase", reason="needs the extra 'simulate'")

from lowdose.simulation.imaging import Beam, Scan, incoherent_adf
from lowdose.simulation.imaging.incoherent import band_limit, probe_transfer
from lowdose.simulation.imaging.stem import stem
from lowdose.simulation.specimens import (
    CrystalParameters,
    Field,
    Specimen,
    crystal,
    make_atoms,
)

FIELD = Field(height=2.0, width=2.0, margin=0.5)
ROUND = Scan(convergence=30, source_size=0.02)
UNEVEN = Scan(
    convergence=30, defocus=2, coma=60, coma_angle=40, astigmatism=2, source_size=0.02
)


def specimen(*atoms, field=FIELD):
    """Return atoms (symbol, x, y) of one height."""
    groups = [(symbol, np.array([[x, y, 0.0]])) for symbol, x, y in atoms]
    parameters = CrystalParameters()
    made = make_atoms(field, groups)
    return Specimen(
        atoms=made, kind="atoms", parameters=parameters, seed=0, field=field
    )


def image(*atoms, scan=ROUND, **options):
    options = {"energy": 80.0, "sampling": 0.02, **options}
    return incoherent_adf(specimen(*atoms), scan, **options)


def test_the_image_of_an_atom_is_a_round_probe_without_aberrations():
    found = image(("C", 0, 0))
    assert found.shape == (100, 100)
    assert found.dtype == np.float32
    y, x = (np.mgrid[:100, :100] - 49.5) * 0.02
    radius = np.hypot(y, x)
    peak = found.max()
    for ring in (0.05, 0.1, 0.15):
        near = np.abs(radius - ring) < 0.003
        assert np.ptp(found[near]) < 0.1 * peak
    for other in (found[::-1], found[:, ::-1], found.T):
        np.testing.assert_allclose(found, other, atol=1e-3 * peak)
    assert radius.ravel()[found.argmax()] < 0.02


def test_an_atom_is_where_it_is_in_the_specimen():
    # 0.3 nm to the right of the middle, 0.5 nm below it.
    found = image(("C", 0.3, 0.5))
    row, column = np.unravel_index(found.argmax(), found.shape)
    assert (row + 0.5) * 0.02 - 1 == pytest.approx(0.5, abs=0.011)
    assert (column + 0.5) * 0.02 - 1 == pytest.approx(0.3, abs=0.011)


@pytest.mark.parametrize("exponent", [1.6, 2.0])
def test_atoms_scatter_by_a_power_of_their_number(exponent):
    light, heavy = (image((s, 0, 0), exponent=exponent) for s in ("C", "W"))
    ratio = heavy.max() / light.max()
    assert ratio == pytest.approx((74 / 6) ** exponent, rel=1e-4)


def test_all_that_an_atom_scatters_is_in_the_image():
    alone = specimen(("C", 0, 0), field=Field(height=3.0, width=3.0, margin=0.0))
    found = incoherent_adf(alone, UNEVEN, energy=80.0, exponent=2.0, sampling=0.02)
    assert found.sum() * 0.02**2 == pytest.approx(36, rel=1e-3)


def test_the_image_of_two_atoms_is_the_sum_of_both():
    first, second = ("Si", -0.1, 0.03), ("C", 0.05, 0.2)
    both = image(first, second, scan=UNEVEN)
    apart = image(first, scan=UNEVEN) + image(second, scan=UNEVEN)
    np.testing.assert_allclose(both, apart, atol=1e-3 * both.max())


def test_nothing_is_negative_and_vacuum_is_empty():
    found = image(("W", 0, 0), ("C", 0.4, 0.4), scan=UNEVEN)
    assert found.min() >= 0
    assert not image().any()


def test_nothing_finer_than_twice_the_aperture_is_transferred():
    shape, period = (160, 180), (3.0, 3.3)
    transfer = np.abs(
        probe_transfer(UNEVEN, energy=80.0, shape=shape, period=period, depth=1.0)
    )
    fy, fx = (
        fft.fftfreq(n, length / n) for n, length in zip(shape, period, strict=True)
    )
    frequency = np.hypot(fy[:, None], np.abs(fx[: shape[1] // 2 + 1]))
    limit = band_limit(UNEVEN, 80.0)
    assert limit == pytest.approx(2 * 0.030 / Beam(energy=80).wavelength)
    assert transfer[0, 0] == pytest.approx(1)
    # The rim of the aperture is as wide as the grid is coarse.
    assert transfer[frequency > limit + 2 / 3.0].max() < 1e-6
    assert transfer[frequency < 0.5 * limit].min() > 1e-3


def test_a_probe_out_of_focus_or_from_a_large_source_is_broader():
    sharp = image(("C", 0, 0)).max()
    assert image(("C", 0, 0), scan=Scan(defocus=8, source_size=0.02)).max() < sharp
    assert image(("C", 0, 0), scan=Scan(source_size=0.05)).max() < sharp
    assert image(("C", 0, 0), displacement=0.04).max() < sharp


def test_the_focus_counts_from_where_the_beam_enters():
    thick = crystal(
        CrystalParameters(
            structure="W", thickness=8, field_height=2, field_width=2, margin=0.5
        ),
        seed=1,
    )
    contrast = []
    for defocus in (4.0, -4.0):
        scan = Scan(convergence=30, defocus=defocus, source_size=0.02)
        found = incoherent_adf(thick, scan, energy=200.0, sampling=0.02)
        contrast.append(found.std() / found.mean())
    # Negative: the probe is narrowest inside the crystal, not before it.
    assert contrast[1] > 1.5 * contrast[0]


def test_it_is_the_image_by_multislice_of_an_atom_but_for_tails():
    pytest.importorskip("abtem", reason="needs the extra 'simulate'")
    field = Field(height=0.7, width=0.7, margin=0.1)
    atoms = specimen(("Si", 0.1, 0.0), field=field)
    scan = Scan(
        convergence=30,
        inner=60,
        outer=90,
        coma=80,
        coma_angle=30,
        astigmatism=2,
        astigmatism_angle=20,
        defocus=2,
        source_size=0.02,
        algorithm="multislice",
    )
    beam = Beam(energy=80.0, sampling=0.014, phonons=0)
    exact = stem(atoms, scan, beam=beam, sampling=0.02)
    found = incoherent_adf(atoms, scan, energy=80.0, displacement=0.01, sampling=0.02)
    assert np.corrcoef(exact.ravel(), found.ravel())[0, 1] > 0.99


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"exponent": 3.0}, "exponent=3"),
        ({"displacement": -0.1}, "displacement=-0.1"),
        ({"sampling": 0.0}, "no pixel size"),
        ({"shape": (300, 300)}, "the view has"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    with pytest.raises(ParameterError, match=message):
        image(("C", 0, 0), **options)
