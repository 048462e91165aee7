"""How near linear incoherent imaging comes to multislice, as a Markdown table.

ADF-STEM images of thin specimens by both: a sheet of graphene with silicon in it, and
SrTiO3 along [001] of several thicknesses, with frozen phonons::

    python benchmarks/incoherent.py
    python benchmarks/incoherent.py --phonons 2 --cells 1 3

Of each specimen the table has the correlation of the two images, their relative
standard deviations, and how much brighter one kind of column is than another: means
within 0.05 nm of the columns. Multislice takes some minutes.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lowdose.simulation.imaging import Beam, Scan, incoherent_adf, stem
from lowdose.simulation.specimens import (
    CrystalParameters,
    Field,
    GrapheneParameters,
    Specimen,
    graphene,
    make_atoms,
    unit_cell,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Image = NDArray[np.float32]

#: Lattice constant of SrTiO3 [nm], pixels [nm], radius of a column [nm].
CONSTANT, PIXEL, RADIUS = 0.3905, 0.01953, 0.05


def main() -> None:
    """Image every specimen by both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--phonons", type=int, default=3, help="configurations (default: 3)"
    )
    parser.add_argument(
        "--cells",
        type=int,
        nargs="*",
        default=[1, 3, 6, 12],
        help="thicknesses of SrTiO3 in unit cells (default: 1 3 6 12)",
    )
    arguments = parser.parse_args()
    print(
        f"Command: `python {' '.join([Path(sys.argv[0]).as_posix(), *sys.argv[1:]])}`\n"
        "\n| specimen | correlation | relative std, multislice | linear "
        "| ratio of columns, multislice | linear | s, multislice | linear |\n"
        "|---|---|---|---|---|---|---|---|",
        flush=True,
    )
    sheet = GrapheneParameters(
        field_height=0.9, field_width=0.9, margin=0.25, dopants=2, dopant="Si"
    )
    report(
        "graphene, Si : C, 80 kV, 30 mrad",
        graphene(sheet, 1),
        Scan(
            convergence=30,
            inner=60,
            outer=135,
            source_size=0.02,
            algorithm="multislice",
        ),
        Beam(energy=80, sampling=0.01, phonons=arguments.phonons, displacement=0.006),
        ("Si", "C"),
    )
    for count in arguments.cells:
        report(
            f"SrTiO3, {count * CONSTANT:.1f} nm, Sr : Ti-O, 200 kV, 24 mrad",
            strontium_titanate(count),
            Scan(
                convergence=24,
                inner=65,
                outer=135,
                source_size=0.02,
                algorithm="multislice",
            ),
            Beam(
                energy=200,
                sampling=0.006,
                phonons=arguments.phonons,
                displacement=0.008,
            ),
            ("Sr", "Ti"),
        )


def strontium_titanate(count: int) -> Specimen:
    """Return two by two cells, periodic, `count` of them thick."""
    atoms = unit_cell("SrTiO3").repeat((2, 2, count))
    field = Field(height=2 * CONSTANT, width=2 * CONSTANT, margin=0)
    # No atom on the border of the cell, where it would count twice or not at all.
    positions = atoms.positions / 10 - np.array([0.75, 0.75, 0]) * CONSTANT
    made = make_atoms(field, [(atoms.get_chemical_symbols(), positions)])
    parameters = CrystalParameters(thickness=count * CONSTANT)
    return Specimen(
        atoms=made, kind="crystal", parameters=parameters, seed=0, field=field
    )


def report(
    name: str, specimen: Specimen, scan: Scan, beam: Beam, elements: tuple[str, str]
) -> None:
    """Print the row of a specimen."""
    began = time.perf_counter()
    exact = stem(specimen, scan, beam=beam, sampling=PIXEL)
    between = time.perf_counter()
    assert isinstance(beam.displacement, float)
    linear = incoherent_adf(
        specimen,
        scan,
        energy=beam.energy,
        displacement=beam.displacement,
        sampling=PIXEL,
    )
    ended = time.perf_counter()
    correlation = np.corrcoef(exact.ravel(), linear.ravel())[0, 1]
    spread = [image.std() / image.mean() for image in (exact, linear)]
    ratio = [
        level(image, specimen, elements[0]) / level(image, specimen, elements[1])
        for image in (exact, linear)
    ]
    print(
        f"| {name} | {correlation:.3f} | {spread[0]:.2f} | {spread[1]:.2f} "
        f"| {ratio[0]:.2f} | {ratio[1]:.2f} | {between - began:.0f} "
        f"| {ended - between:.2f} |",
        flush=True,
    )


def level(image: Image, specimen: Specimen, element: str) -> float:
    """Return the mean intensity about the columns that hold an element."""
    symbols = np.array(specimen.atoms.get_chemical_symbols())
    margin = specimen.field.margin
    places = specimen.atoms.positions[symbols == element, :2] / 10 - margin
    y, x = (np.mgrid[: image.shape[0], : image.shape[1]] + 0.5) * PIXEL
    distance = np.hypot(y[..., None] - places[:, 1], x[..., None] - places[:, 0]).min(
        axis=-1
    )
    return float(image[distance < RADIUS].mean())


if __name__ == "__main__":
    main()
