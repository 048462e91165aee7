import sys
import warnings

import numpy as np
import pytest

pytest.importorskip("abtem")

import ase

from lowdose.errors import MissingExtraError, ParameterError, SamplingWarning
from lowdose.simulation.imaging import (
    Beam,
    Optics,
    Scan,
    ScanErrors,
    distort_scan,
    exit_wave,
    hrtem,
    stem,
)
from lowdose.simulation.imaging.resampling import resample_view
from lowdose.simulation.specimens import (
    CrystalParameters,
    Field,
    NanoparticleParameters,
    Specimen,
    crystal,
    nanoparticle,
)

COARSE = Beam(sampling=0.015)


def atom(symbol="Au", size=1.5, margin=0.0):
    cell = 10 * (size + 2 * margin)
    atoms = ase.Atoms(
        symbol, [[cell / 2, cell / 2, 2.0]], cell=[cell, cell, 4.0], pbc=True
    )
    return Specimen(
        atoms=atoms,
        kind="atom",
        parameters=Beam(),
        seed=0,
        field=Field(height=size, width=size, margin=margin),
    )


def particle(**values):
    return nanoparticle(
        NanoparticleParameters(
            size=1.4,
            depth=1.2,
            thickness=1.5,
            field_height=2.4,
            field_width=2.4,
            margin=0.6,
            **values,
        ),
        1,
    )


@pytest.fixture(scope="module")
def wave():
    return exit_wave(particle(), COARSE)


def test_the_image_of_an_atom_is_the_one_that_abtem_makes():
    import abtem

    beam, specimen = Beam(sampling=0.0125), atom(margin=0.25)
    optics = Optics(
        defocus=7, astigmatism=3, astigmatism_angle=20, coma=40, coma_angle=70
    )
    ours_wave = exit_wave(specimen, beam)
    pixels = ours_wave.array.shape[0]
    assert pixels == 160
    # An odd number, so that the pixels of both images lie at the same places.
    ours = hrtem(ours_wave, optics, shape=(119, 119))
    potential = abtem.Potential(
        specimen.atoms, gpts=pixels, slice_thickness=2.0, parametrization="lobato"
    )
    wave = abtem.PlaneWave(energy=300e3).multislice(potential, lazy=False)
    ctf = abtem.CTF(
        energy=300e3,
        C10=70,
        Cs=-13e4,
        C50=5e7,
        C12=30,
        phi12=np.radians(20),
        C21=400,
        phi21=np.radians(70),
        focal_spread=np.sqrt(2) * 30,
        angular_spread=np.sqrt(2) * 0.2,
    )
    theirs = wave.apply_ctf(ctf).intensity().array.T[21:140, 21:140]
    assert np.ptp(theirs) > 0.2
    np.testing.assert_allclose(ours, theirs, atol=2e-4)


def test_the_lattice_spacing_is_found_in_the_power_spectrum():
    parameters = CrystalParameters(
        structure="Au", thickness=1, field_height=3, field_width=3, margin=0.4
    )
    image = hrtem(
        exit_wave(crystal(parameters, 0), COARSE), Optics(defocus=6), sampling=0.02
    )
    height = image.shape[0]
    window = np.hanning(height)[:, None] * np.hanning(height)
    padded = 2048
    power = np.abs(np.fft.rfft2((image - image.mean()) * window, (padded, padded)))
    frequency = np.hypot(
        *np.meshgrid(
            np.fft.fftfreq(padded, 0.02), np.fft.rfftfreq(padded, 0.02), indexing="ij"
        )
    )
    # {200} of gold, the first reflections along [001].
    near = (frequency > 3.5) & (frequency < 6)
    peak = frequency.ravel()[np.argmax(np.where(near, power, 0))]
    assert 1 / peak == pytest.approx(0.40786 / 2, rel=0.01)


def test_the_cache_changes_no_pixel_and_mends_itself(tmp_path, wave):
    specimen = particle()
    first = exit_wave(specimen, COARSE, cache=tmp_path)
    [file] = tmp_path.rglob("*.npz")
    second = exit_wave(specimen, COARSE, cache=tmp_path)
    optics = Optics(defocus=9)
    plain = hrtem(wave, optics)
    np.testing.assert_array_equal(first.array, wave.array)
    np.testing.assert_array_equal(second.array, wave.array)
    np.testing.assert_array_equal(hrtem(first, optics), plain)
    np.testing.assert_array_equal(hrtem(second, optics), plain)
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    third = exit_wave(specimen, COARSE, cache=tmp_path)
    np.testing.assert_array_equal(third.array, wave.array)
    assert file.read_bytes() == content
    assert list(tmp_path.rglob("*.part")) == []


def test_the_cache_tells_apart_what_gives_another_wave(tmp_path):
    exit_wave(atom("Au"), COARSE, cache=tmp_path)
    exit_wave(atom("Pt"), COARSE, cache=tmp_path)
    exit_wave(atom("Au"), Beam(sampling=0.015, energy=80), cache=tmp_path)
    assert len(list(tmp_path.rglob("*.npz"))) == 3
    exit_wave(atom("Au"), COARSE, cache=tmp_path)
    assert len(list(tmp_path.rglob("*.npz"))) == 3


def test_the_waves_of_frozen_phonons_differ_and_are_reproducible():
    beam = Beam(sampling=0.015, phonons=3, displacement=(("Au", 0.01),))
    one, two = (exit_wave(atom(margin=0.25), beam) for _ in range(2))
    assert one.array.shape[0] == 3
    np.testing.assert_array_equal(one.array, two.array)
    assert not np.allclose(one.array[0], one.array[1])
    assert hrtem(one, Optics()).ndim == 2


def test_a_displacement_is_asked_for_every_element():
    beam = Beam(phonons=1, displacement=(("Pt", 0.01),))
    with pytest.raises(ParameterError, match="leaves out Au"):
        exit_wave(atom(), beam)


def test_vacuum_is_flat_beside_a_particle_and_does_not_see_its_far_side(wave):
    for defocus in (0, 10, 20):
        image = hrtem(wave, Optics(defocus=defocus), sampling=0.01)
        assert abs(image[:12] - 1).max() < 0.01


def test_columns_turn_from_black_to_white_with_defocus(wave):
    images = {d: hrtem(wave, Optics(defocus=d)) for d in (0, 14)}
    assert 1 - images[0].min() > images[0].max() - 1
    assert images[14].max() - 1 > 1 - images[14].min()


def test_an_empty_specimen_is_vacuum():
    image = hrtem(exit_wave(particle(content="vacuum"), COARSE), Optics(defocus=8))
    np.testing.assert_allclose(image, 1, atol=1e-5)


def test_contrast_is_reduced_about_the_vacuum(wave):
    full = hrtem(wave, Optics(defocus=8))
    less = hrtem(wave, Optics(defocus=8, contrast=0.4))
    np.testing.assert_allclose(less - 1, 0.4 * (full - 1), atol=1e-5)


def test_vibration_blurs_and_keeps_the_mean(wave):
    still = hrtem(wave, Optics(defocus=8))
    shaken = hrtem(wave, Optics(defocus=8, vibration=0.05))
    assert shaken.std() < 0.9 * still.std()
    assert shaken.mean() == pytest.approx(still.mean(), abs=0.01)


def test_finer_pixels_show_the_same_image(wave):
    coarse = hrtem(wave, Optics(defocus=8), sampling=0.018, shape=(101, 101))
    fine = hrtem(wave, Optics(defocus=8), sampling=0.006, shape=(301, 301))
    np.testing.assert_allclose(fine[::3, ::3], coarse, atol=2e-4)


def test_resampling_reproduces_a_wave_exactly():
    y, x = np.mgrid[:48, :60] * 0.1
    field = Field(height=2, width=3, margin=1)

    def function(y, x):
        return 2 + np.cos(2 * np.pi * (3 * y / 4.8 + 5 * x / 6) + 0.7)

    view = resample_view(function(y, x), 0.1, field, wanted=0.037, shape=(50, 61))
    rows = 2.4 + (np.arange(50) - 24.5) * 0.037
    columns = 3.0 + (np.arange(61) - 30) * 0.037
    np.testing.assert_allclose(
        view, function(rows[:, None], columns), atol=1e-6, rtol=0
    )


def test_too_coarse_a_wave_is_told_with_its_band_limit():
    coarse = exit_wave(atom(margin=0.5), Beam(sampling=0.05))
    with pytest.warns(SamplingWarning, match=r"band limit of 6\.7 /nm"):
        hrtem(coarse, Optics(focal_spread=1))


def test_too_narrow_a_margin_is_told(wave):
    with pytest.warns(SamplingWarning, match="Use a margin of"):
        hrtem(wave, Optics(defocus=300, angular_spread=0, focal_spread=3))


def test_the_usual_settings_warn_of_nothing(wave):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for seed in range(3):
            hrtem(wave, Optics.draw(np.random.default_rng(seed)))


def test_an_image_larger_than_the_view_is_refused(wave):
    with pytest.raises(ParameterError, match="fewer pixels"):
        hrtem(wave, Optics(), sampling=0.02, shape=(400, 400))
    with pytest.raises(ParameterError, match="no pixel size"):
        hrtem(wave, Optics(), sampling=0)


def test_values_out_of_range_are_refused():
    with pytest.raises(ParameterError, match="energy=0"):
        Beam(energy=0)
    with pytest.raises(ParameterError, match="contrast=2"):
        Optics(contrast=2)
    with pytest.raises(ParameterError, match="collects"):
        Scan(inner=100, outer=50)


def test_without_abtem_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "abtem", None)
    with pytest.raises(MissingExtraError, match=r"napari-lowdose\[simulate\]"):
        exit_wave(atom(), COARSE)


STEM_BEAM = Beam(energy=80, sampling=0.015)


def scanned(symbol, **values):
    scan = Scan(inner=40, outer=90, convergence=25, window=9, **values)
    return stem(atom(symbol, 0.9, 0.1), scan, beam=STEM_BEAM, sampling=0.03)


def test_prism_and_multislice_agree_and_heavy_atoms_are_brighter():
    prism = scanned("Si")
    slices = scanned("Si", algorithm="multislice")
    np.testing.assert_allclose(prism, slices, atol=0.02 * slices.max())
    heavy = scanned("Au")
    assert heavy.max() > 2 * prism.max()
    centre = np.unravel_index(heavy.argmax(), heavy.shape)
    np.testing.assert_allclose(centre, (np.array(heavy.shape) - 1) / 2, atol=1)


def test_a_detector_beyond_the_grid_is_refused():
    with pytest.raises(ParameterError, match="ends at"):
        stem(atom(), Scan(inner=60, outer=400), beam=STEM_BEAM)


def test_a_vacuum_scatters_nothing():
    assert not stem(particle(content="vacuum"), Scan(outer=90), beam=STEM_BEAM).any()


def test_scan_distortions_displace_and_are_seeded():
    y, x = np.mgrid[:40, :40]
    image = np.sin(x / 3.0) + np.cos(y / 4.0)

    def distort(border=0, **values):
        errors = ScanErrors(**values)
        rng = np.random.default_rng(1)
        return distort_scan(image, 0.01, errors, rng=rng, border=border)

    np.testing.assert_allclose(distort(), image, atol=1e-5)
    rows = distort(line_jitter=0.01)
    np.testing.assert_array_equal(rows, distort(line_jitter=0.01))
    assert np.abs(rows - image).max() > 0.1
    drifted = distort(drift_x=0.2)
    assert np.abs(drifted[0] - image[0]).max() > np.abs(drifted[20] - image[20]).max()
    with pytest.raises(ParameterError, match="jitter=-1"):
        distort(jitter=-1)


def test_a_scan_that_goes_astray_shows_what_lies_beyond_its_border():
    y, x = np.mgrid[:60, :60] * 1.0
    ramp, errors = 2 * y + x, ScanErrors(drift_y=0.06, drift_x=-0.04)
    seen = distort_scan(ramp, 0.01, errors, rng=np.random.default_rng(1), border=10)
    assert seen.shape == (40, 40)
    # A quarter of a row before the end, the specimen has moved by 39/80 of the drift.
    moved = 39 / 80
    np.testing.assert_allclose(
        seen[-1], ramp[49, 10:50] - moved * (2 * 6 - 4), atol=1e-3
    )
    with pytest.raises(ParameterError, match="leaves nothing"):
        distort_scan(ramp, 0.01, errors, rng=np.random.default_rng(1), border=30)
