"""The wave that leaves the specimen: one multislice, whatever is imaged from it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.fft import next_fast_len

from lowdose.errors import ParameterError
from lowdose.simulation.imaging.abtem_library import import_abtem, settings
from lowdose.simulation.imaging.cache import cache_key, load_wave, store_wave
from lowdose.simulation.specimens.specimen import ANGSTROM

if TYPE_CHECKING:
    from pathlib import Path

    from ase import Atoms
    from numpy.typing import NDArray

    from lowdose.simulation.imaging.beam import Beam
    from lowdose.simulation.specimens.specimen import Field, Specimen


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ExitWave:
    """The wave behind a specimen, over the whole periodic cell.

    Parameters
    ----------
    array : ndarray, shape (H, W) or (P, H, W), complex64
        Amplitude, 1 for the incident wave; one for each frozen-phonon configuration
        where there are several. Read-only.
    sampling : float
        [nm/px], the same along both axes.
    energy : float
        Energy of the electrons [keV].
    field : Field
        The part in the middle that images show.
    """

    array: NDArray[np.complex64]
    sampling: float
    energy: float
    field: Field

    @property
    def configurations(self) -> NDArray[np.complex64]:
        """The wave of every frozen-phonon configuration, shape (P, H, W)."""
        return self.array.reshape(-1, *self.array.shape[-2:])

    @property
    def margin(self) -> float:
        """Distance from the view to the nearest border of the cell [nm]."""
        height, width = np.array(self.array.shape[-2:]) * self.sampling
        return float(min(height - self.field.height, width - self.field.width) / 2)


def exit_wave(specimen: Specimen, beam: Beam, *, cache: Path | None = None) -> ExitWave:
    """Calculate the wave behind a specimen, by multislice.

    abTEM does it: independent atoms, infinite projection, a plane wave incident along
    z (J. M. Cowley, A. F. Moodie, Acta Cryst. 10, 609 (1957)).

    Parameters
    ----------
    specimen : Specimen
        Atoms, and what part of them to see. Its cell is enlarged to a number of
        pixels that the FFT likes; the margin takes that.
    beam : Beam
        Energy, sampling, slices and vibrations.
    cache : Path, optional
        Folder in which waves are kept, under a hash of the atoms, the beam and the
        versions of the software. A wave read from it is the one that was calculated,
        bit for bit.

    Returns
    -------
    ExitWave
        Wave with amplitude 1 in vacuum.

    Raises
    ------
    ParameterError
        If the beam names displacements and leaves out an element, or the specimen has
        a cell that is not orthogonal.
    MissingExtraError
        If abTEM is not installed.
    OutputError
        If the cache cannot be written.
    """
    import_abtem()
    key = cache_key(specimen, beam)
    array = None if cache is None else load_wave(cache, key)
    if array is None:
        array = _multislice(specimen, beam)
        if cache is not None:
            store_wave(cache, key, array)
    array.flags.writeable = False
    return ExitWave(
        array=array, sampling=beam.sampling, energy=beam.energy, field=specimen.field
    )


def fitted_atoms(
    specimen: Specimen, sampling: float, multiple: int = 1
) -> tuple[Atoms, tuple[int, int]]:
    """Return the atoms in a cell of whole pixels, the view still in its middle.

    Parameters
    ----------
    specimen : Specimen
        What to fit.
    sampling : float
        Pixel size [nm/px].
    multiple : int, optional
        What the numbers of pixels are to be multiples of.

    Returns
    -------
    atoms : ase.Atoms
        A copy with an enlarged cell.
    gpts : tuple of int
        Pixels along x and along y: products of small primes.

    Raises
    ------
    ParameterError
        If the cell is not orthogonal.
    """
    atoms = specimen.atoms.copy()
    lengths = atoms.cell.lengths() / ANGSTROM
    if not np.allclose(atoms.cell.angles(), 90):
        msg = (
            f"The cell of the specimen has angles {atoms.cell.angles()}°; multislice "
            "needs an orthogonal one. Build it with lowdose.simulation.specimens."
        )
        raise ParameterError(msg)
    pixels = [int(np.ceil(lengths[axis] / sampling - 1e-6)) for axis in (0, 1)]
    gpts = [multiple * next_fast_len(-(-number // multiple)) for number in pixels]
    grown = np.array([*(number * sampling for number in gpts), lengths[2]])
    atoms.positions += (grown - lengths) / 2 * ANGSTROM
    atoms.set_cell(grown * ANGSTROM)
    return atoms, (gpts[0], gpts[1])


def potential(specimen: Specimen, beam: Beam, multiple: int = 1) -> Any:
    """Return abTEM's potential of a specimen, with frozen phonons where asked for.

    Parameters
    ----------
    specimen : Specimen
        What to calculate it of.
    beam : Beam
        Sampling, slices and vibrations.
    multiple : int, optional
        What the numbers of pixels are to be multiples of.

    Returns
    -------
    abtem.Potential
        Not yet calculated.

    Raises
    ------
    ParameterError
        If the beam names displacements and leaves out an element.
    """
    abtem = import_abtem()
    atoms, gpts = fitted_atoms(specimen, beam.sampling, multiple)
    depth = atoms.cell.lengths()[2] / ANGSTROM
    slices = max(1, int(np.ceil(depth / beam.slice_thickness - 1e-6)))
    source = atoms
    if beam.phonons:
        seeds = np.random.SeedSequence([specimen.seed, 0x70686F6E])
        source = abtem.FrozenPhonons(
            atoms,
            num_configs=beam.phonons,
            sigmas=_displacements(atoms, beam),
            ensemble_mean=False,
            seed=tuple(int(s) for s in seeds.generate_state(beam.phonons)),
        )
    return abtem.Potential(
        source,
        gpts=gpts,
        slice_thickness=depth / slices * ANGSTROM,
        parametrization=beam.parametrization,
        projection="infinite",
    )


def _multislice(specimen: Specimen, beam: Beam) -> NDArray[np.complex64]:
    abtem = import_abtem()
    if not len(specimen.atoms):
        _, (columns, rows) = fitted_atoms(specimen, beam.sampling)
        return np.ones((rows, columns), np.complex64)
    with settings(), warnings.catch_warnings():
        # That frozen phonons come as waves of their own is what we ask for.
        warnings.filterwarnings("ignore", message="ensemble_mean=False returns")
        wave = abtem.PlaneWave(energy=beam.energy * 1e3)
        result = wave.multislice(potential(specimen, beam), lazy=False)
    # abTEM's first axis is x, ours is y.
    array = np.swapaxes(np.asarray(result.array), -2, -1)
    return np.ascontiguousarray(array, dtype=np.complex64)


def _displacements(atoms: Atoms, beam: Beam) -> float | dict[str, float]:
    """Return the thermal displacements in the form that abTEM wants [Å]."""
    if not isinstance(beam.displacement, tuple):
        return beam.displacement * ANGSTROM
    given = dict(beam.displacement)
    elements = sorted(set(atoms.get_chemical_symbols()))
    absent = [element for element in elements if element not in given]
    if absent:
        msg = (
            f"Beam.displacement names {', '.join(given)} and leaves out "
            f"{', '.join(absent)}. Give a standard deviation for every element."
        )
        raise ParameterError(msg)
    return {element: given[element] * ANGSTROM for element in elements}
