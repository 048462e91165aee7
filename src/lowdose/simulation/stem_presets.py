"""The preset ``stem-crystals``: lattices by ADF-STEM, quick enough to learn from.

Images are those of the linear model of incoherent imaging
(:mod:`lowdose.simulation.imaging.incoherent`); multislice, as in the preset
``graphene``, takes a hundred times as long. All ranges are our own.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lowdose.simulation.imaging import Scan, ScanErrors, distort_scan, incoherent_adf
from lowdose.simulation.own_structures import of_structure, structure_options
from lowdose.simulation.records import UNITS, draw_until_possible, image_record
from lowdose.simulation.rendering import Preset, Rendering, specimen_rng
from lowdose.simulation.specimens import (
    CrystalParameters,
    GrapheneParameters,
    Specimen,
    crystal,
    graphene,
    list_sheets,
)
from lowdose.simulation.specimens.specimen import ANGSTROM, flat

if TYPE_CHECKING:
    from numpy.random import Generator

#: Pixel size [nm]: the Nyquist rate of a probe of 31 mrad at 300 kV; of the few that
#: transfer more, the source leaves less than 1 % there.
_PIXEL_SIZE: Final = 0.016
#: Energies [keV].
_ENERGIES: Final = (60.0, 80.0, 100.0, 120.0, 200.0, 300.0)
#: Images of one specimen, each by another probe and scan.
_REPEATS: Final = 2
#: Shares of the specimens: crystals, sheets of compounds, graphene.
_KINDS: Final = (0.72, 0.16, 0.12)
#: Thickness of a slab that holds one layer of a sheet [nm].
_LAYER: Final = 1.0
#: What is simulated beyond a scan, for a beam that goes astray [nm].
_ASTRAY: Final = 0.18
#: Border that a probe needs beyond that [nm].
_MARGIN: Final = 0.8
#: Most noise of rows [counts], of the detector of the images.
_ROW_NOISE: Final = 30.0
_DETECTOR: Final = "scan"
#: Of the records of probes, what the model makes no use of.
_UNUSED: Final = ("algorithm", "window", "inner", "outer")


def stem_crystals_preset(
    *,
    structure: str | None = None,
    pixel_size: float = _PIXEL_SIZE,
    size: int = 384,
) -> Preset:
    """Return the preset ``stem-crystals``.

    Every image has a mean of 1, so that a dose is the mean of the electrons that the
    detector finds per pixel.

    Parameters
    ----------
    structure : str, optional
        A CIF or another file that ase reads, or a name such as ``"SrTiO3"``: all
        specimens are crystals of it, at random low-index zone axes. None: any of the
        table, sheets and graphene.
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
        name="stem-crystals",
        title="Crystals, sheets and graphene by ADF-STEM, with errors of the scan",
        summary="linear incoherent imaging, 60 to 300 kV, images of a mean of 1",
        images_per_specimen=_REPEATS,
        detector=_DETECTOR,
        vacuum=0.0,
        units=UNITS,
        options=structure_options(structure, pixel_size=pixel_size, size=size),
        render=partial(_render, structure, pixel_size, size),
    )


def _render(
    structure: str | None,
    pixel_size: float,
    size: int,
    seed: int,
    number: int,
    cache: Path | None,
) -> Rendering:
    """Build a specimen, and scan it by several probes."""
    del cache  # there are no exit waves
    rng, own = specimen_rng(seed, number)
    border = round(_ASTRAY / pixel_size)
    specimen = _specimen(structure, size * pixel_size, rng, own)
    specimen = dataclasses.replace(
        specimen, field=specimen.field.widened(border * pixel_size)
    )
    depth = _depth(specimen)
    images, records = [], []
    for index in range(_REPEATS):
        energy = float(rng.choice(_ENERGIES))
        scan = _draw_scan(rng, depth)
        exponent = float(rng.uniform(1.6, 1.8))
        displacement = float(rng.uniform(0.005, 0.01))
        undistorted = incoherent_adf(
            specimen,
            scan,
            energy=energy,
            exponent=exponent,
            displacement=displacement,
            sampling=pixel_size,
            shape=(size + 2 * border, size + 2 * border),
        )
        errors = ScanErrors.draw(rng)
        scanned = distort_scan(undistorted, pixel_size, errors, rng=rng, border=border)
        # Splines may swing a little below zero beside a bright atom.
        scanned = np.maximum(scanned, 0)
        mean = float(scanned.mean())
        image = scanned / np.float32(mean) if mean > 0 else scanned
        images.append(image)
        record = image_record(
            specimen,
            number,
            undistorted[border : border + size, border : border + size],
            index=index,
            vacuum=0.0,
            pixel_size=pixel_size,
            energy=energy,
            optics=scan,
            mode="stem",
            detector=_DETECTOR,
            row_noise=float(rng.uniform(0, _ROW_NOISE)),
            exponent=exponent,
            displacement=displacement,
            **flat(errors),
        )
        records.append(_tidy(record))
    return Rendering(images=np.stack(images), records=records)


def _specimen(structure: str | None, view: float, rng: Generator, own: int) -> Specimen:
    """Draw and build a specimen with room for the probe and its errors."""
    margin = _MARGIN + _ASTRAY
    kind = "crystal"
    if structure is None:
        kind = str(rng.choice(["crystal", "sheet", "graphene"], p=_KINDS))
    if kind == "graphene":
        _, specimen = draw_until_possible(
            lambda rng: dataclasses.replace(
                GrapheneParameters.draw(rng, height=view, width=view), margin=margin
            ),
            lambda drawn: graphene(drawn, own),
            rng,
        )
        return specimen

    def draw(rng: Generator) -> CrystalParameters:
        drawn = CrystalParameters.draw(rng, height=view, width=view)
        # Scanned crystals are tilted to the zone axis with more care than most.
        drawn = dataclasses.replace(
            drawn,
            margin=margin,
            tilt_x=drawn.tilt_x / 2,
            tilt_y=drawn.tilt_y / 2,
        )
        if kind == "sheet":
            return _sheet(drawn, rng)
        return of_structure(drawn, structure, rng)

    _, specimen = draw_until_possible(draw, lambda drawn: crystal(drawn, own), rng)
    return specimen


def _sheet(drawn: CrystalParameters, rng: Generator) -> CrystalParameters:
    """Make one layer of what was drawn, a third of them with an edge."""
    edged = bool(rng.random() < 1 / 3)
    return dataclasses.replace(
        drawn,
        structure=str(rng.choice(list_sheets())),
        zone_axis=(0, 0, 1),
        # A wedge that is nowhere thinner is a layer that ends somewhere.
        shape="wedge" if edged else "slab",
        thickness=_LAYER,
        thin=_LAYER,
        edge=float(rng.uniform(0.1, 0.6)),
        vacancies=float(rng.exponential(0.01)),
        carbon=float(rng.uniform(0.3, 1.0)) if rng.random() < 0.25 else 0.0,
    )


def _draw_scan(rng: Generator, depth: float) -> Scan:
    """Draw a probe that is focused into a specimen, more or less.

    Apertures of 20 to 35 mrad. The source, 0.02 to 0.05 nm, stands for the spread of
    energies too.
    """
    drawn = Scan.draw(rng)
    return dataclasses.replace(
        drawn,
        convergence=float(rng.uniform(20, 35)),
        defocus=drawn.defocus - float(rng.uniform(0, 0.7)) * depth,
        source_size=float(rng.uniform(0.02, 0.05)),
    )


def _depth(specimen: Specimen) -> float:
    """Return how far the atoms reach along the beam [nm]."""
    if not len(specimen.atoms):
        return 0.0
    return float(np.ptp(specimen.atoms.positions[:, 2])) / ANGSTROM


def _tidy(record: dict[str, Any]) -> dict[str, Any]:
    """Leave out what has no meaning here, and make columns of one type."""
    record = {name: value for name, value in record.items() if name not in _UNUSED}
    if "structure" in record:
        # The name of a file is that of this machine; the set says what it held.
        record["structure"] = Path(record["structure"]).name
    else:
        # The edge of graphene is a word, that of a wedge a number.
        record["sheet_edge"] = record.pop("edge")
    return record
