"""The presets ``graphene``, ``graphene-quick`` and ``crystals``.

Graphene after em_graphene_sim, whose energy, lens and detector are not published: those
here are our own, as are all ranges of ``crystals``.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from lowdose.simulation.imaging import (
    Beam,
    Optics,
    Scan,
    ScanErrors,
    distort_scan,
    exit_wave,
    hrtem,
    incoherent_adf,
    stem,
)
from lowdose.simulation.own_structures import of_structure, structure_options
from lowdose.simulation.records import UNITS, draw_until_possible, image_record
from lowdose.simulation.rendering import Preset, Rendering, specimen_rng
from lowdose.simulation.specimens import (
    CrystalParameters,
    GrapheneParameters,
    crystal,
    graphene,
)
from lowdose.simulation.specimens.specimen import flat

if TYPE_CHECKING:
    from numpy.random import Generator

#: Thermal displacement of graphene's atoms along each axis [nm], and configurations.
_DISPLACEMENT: Final = 0.006
_GRAPHENE_BEAM: Final = Beam(
    energy=80.0, sampling=0.02, phonons=8, displacement=_DISPLACEMENT
)
_SCANNED_BEAM: Final = Beam(
    energy=80.0, sampling=0.009, phonons=1, displacement=_DISPLACEMENT
)
#: Outer angle of the annular detector [mrad], which that sampling carries, and the
#: part of the sheet that a probe of 31 mrad sees [nm]. Scanning costs most: these and a
#: single phonon configuration keep it to about half a minute.
_OUTER, _WINDOW = 150.0, 0.6
#: What is simulated beyond a scan, for a beam that goes astray [nm]: half of the drift
#: and eight standard deviations of the rows.
_ASTRAY: Final = 0.18
#: Most noise of rows [counts], of the detector of the scanned images.
_ROW_NOISE: Final = 30.0
#: Detectors of the images by HRTEM and by STEM.
_DETECTOR, _SCAN_DETECTOR = "em-graphene", "scan"
#: Energies [keV] of the crystals' images.
_ENERGIES: Final = (60.0, 80.0, 200.0, 300.0)
#: Images of one crystal, at as many defocus values within this range [nm].
_SERIES: Final = 2
_DEFOCUS: Final = 20.0


def graphene_preset(*, pixel_size: float = 0.02, size: int = 256) -> Preset:
    """Return the preset ``graphene``.

    Parameters
    ----------
    pixel_size : float, optional
        [nm/px].
    size : int, optional
        Height and width [px].
    """
    return Preset(
        name="graphene",
        title="Graphene with defects, by HRTEM and by ADF-STEM",
        summary="each sheet once by either; STEM images are divided by their maximum",
        images_per_specimen=2,
        detector=_DETECTOR,
        units=UNITS,
        options={"pixel_size": pixel_size, "size": size},
        render=partial(_render_graphene, pixel_size, size),
    )


def graphene_quick_preset(*, pixel_size: float = 0.02, size: int = 256) -> Preset:
    """Return the preset ``graphene-quick``: ADF-STEM by the linear model.

    A sheet of one atom is what the model of incoherent imaging
    (:mod:`lowdose.simulation.imaging.incoherent`) is right for, and it takes a
    thousandth of the time.

    Parameters
    ----------
    pixel_size : float, optional
        [nm/px].
    size : int, optional
        Height and width [px].
    """
    return dataclasses.replace(
        graphene_preset(pixel_size=pixel_size, size=size),
        name="graphene-quick",
        title="Graphene with defects, by HRTEM and by linear ADF-STEM",
        summary="as graphene, STEM by incoherent imaging: quick enough to learn from",
        render=partial(_render_graphene, pixel_size, size, linear=True),
    )


def crystals_preset(
    *, structure: str | None = None, pixel_size: float = 0.0125, size: int = 384
) -> Preset:
    """Return the preset ``crystals``.

    Parameters
    ----------
    structure : str, optional
        A CIF or another file that ase reads, or a name such as ``"SrTiO3"``: all
        crystals are of it, at random low-index zone axes. None: any of the table.
    pixel_size : float, optional
        [nm/px].
    size : int, optional
        Height and width [px].

    Raises
    ------
    ParameterError, InputError, FormatError
        If the structure is unknown or cannot be read.
    MissingExtraError
        If ase is needed and not installed.
    """
    return Preset(
        name="crystals",
        title="Crystals at zone axes, slabs and wedges, with amorphous carbon",
        summary="60 to 300 kV, two defocus values of each",
        images_per_specimen=_SERIES,
        detector="counting",
        units=UNITS,
        options=structure_options(structure, pixel_size=pixel_size, size=size),
        render=partial(_render_crystal, structure, pixel_size, size),
    )


def _render_graphene(
    pixel_size: float,
    size: int,
    seed: int,
    number: int,
    cache: Path | None,
    *,
    linear: bool = False,
) -> Rendering:
    """Image one sheet by either technique, the scan with its errors."""
    rng, own = specimen_rng(seed, number)
    view = size * pixel_size
    _, specimen = draw_until_possible(
        partial(GrapheneParameters.draw, height=view, width=view),
        lambda drawn: graphene(drawn, own),
        rng,
    )
    optics = Optics.draw(rng, defocus=(-12.0, 12.0))
    scan = dataclasses.replace(Scan.draw(rng), outer=_OUTER, window=_WINDOW)
    wave = exit_wave(specimen, _GRAPHENE_BEAM, cache=cache)
    transmitted = hrtem(wave, optics, sampling=pixel_size, shape=(size, size))
    border = int(_ASTRAY / pixel_size)
    wider = dataclasses.replace(
        specimen, field=specimen.field.widened(border * pixel_size)
    )
    shape = (size + 2 * border, size + 2 * border)
    if linear:
        undistorted = incoherent_adf(
            wider,
            scan,
            energy=_SCANNED_BEAM.energy,
            displacement=_DISPLACEMENT,
            sampling=pixel_size,
            shape=shape,
        )
    else:
        undistorted = stem(
            wider, scan, beam=_SCANNED_BEAM, sampling=pixel_size, shape=shape
        )
    errors = ScanErrors.draw(rng)
    scanned = distort_scan(undistorted, pixel_size, errors, rng=rng, border=border)
    # Splines may swing a little below zero beside a bright atom.
    scanned = np.maximum(scanned, 0)
    peak = float(scanned.max())
    if peak > 0:
        scanned = scanned / np.float32(peak)
    images = np.stack([transmitted, scanned])
    common = {"pixel_size": pixel_size, "energy": _GRAPHENE_BEAM.energy}
    records = [
        image_record(
            specimen,
            number,
            images[0],
            index=0,
            vacuum=1.0,
            optics=optics,
            mode="tem",
            detector=_DETECTOR,
            **common,
        ),
        image_record(
            specimen,
            number,
            undistorted[border : border + size, border : border + size],
            index=1,
            vacuum=0.0,
            optics=scan,
            mode="stem",
            detector=_SCAN_DETECTOR,
            row_noise=float(rng.uniform(0, _ROW_NOISE)),
            collected=peak,
            **flat(errors),
            **common,
        ),
    ]
    return Rendering(images=images, records=records)


def _render_crystal(
    structure: str | None,
    pixel_size: float,
    size: int,
    seed: int,
    number: int,
    cache: Path | None,
) -> Rendering:
    """Simulate a piece of crystal, and image it twice."""
    rng, own = specimen_rng(seed, number)
    view = size * pixel_size

    def draw(rng: Generator) -> CrystalParameters:
        drawn = CrystalParameters.draw(rng, height=view, width=view)
        return of_structure(drawn, structure, rng)

    _, specimen = draw_until_possible(draw, lambda drawn: crystal(drawn, own), rng)
    energy = float(rng.choice(_ENERGIES))
    optics = dataclasses.replace(
        Optics.draw(rng), contrast=float(rng.uniform(0.3, 1.0))
    )
    beam = Beam(energy=energy, sampling=0.0125)
    wave = exit_wave(specimen, beam, cache=cache)
    images, records = [], []
    for index in range(_SERIES):
        defocus = float(_DEFOCUS * (index - 1 + rng.uniform()))
        lens = dataclasses.replace(optics, defocus=defocus)
        image = hrtem(wave, lens, sampling=pixel_size, shape=(size, size))
        images.append(image)
        record = image_record(
            specimen,
            number,
            image,
            index=index,
            vacuum=1.0,
            pixel_size=pixel_size,
            energy=energy,
            optics=lens,
        )
        # The name of a file is that of this machine; the set says what it held.
        record["structure"] = Path(record["structure"]).name
        records.append(record)
    return Rendering(images=np.stack(images), records=records)
