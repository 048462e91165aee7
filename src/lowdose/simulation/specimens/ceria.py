"""The ceria that a particle sits on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from lowdose.simulation.specimens.lattice import (
    FACE_CENTRED,
    cubic_cell,
    fill_box,
    orient,
)

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from lowdose.simulation.specimens.nanoparticle import NanoparticleParameters

#: Lattice constant of ceria [nm] (JCPDS 34-0394).
CERIA: Final = 0.54113
#: Distance of the lowest Pt from the uppermost O layer [nm], about a Pt-O bond's.
INTERFACE_GAP: Final = 0.2
#: Height of an O-Ce-O layer of (111) [nm].
LAYER: Final = CERIA / np.sqrt(3)
#: Fractional coordinates of fluorite: four Ce, then eight O.
_FLUORITE: Final = np.concatenate(
    [
        np.array(FACE_CENTRED),
        np.array(FACE_CENTRED) + 0.25,
        np.array(FACE_CENTRED) + 0.75,
    ]
)


def support(
    parameters: NanoparticleParameters, rng: Generator
) -> tuple[NDArray[np.str_], NDArray[np.float64]]:
    """Return the ceria below the interface.

    Its surface is the stable one of (111), which ends with oxygen (J. C. Conesa,
    Surf. Sci. 339, 337 (1995), doi:10.1016/0039-6028(95)00595-1).

    Parameters
    ----------
    parameters : NanoparticleParameters
        Thickness, steps, disorder and the field, which it fills whatever the
        rotation.
    rng : Generator
        Source of the place in the lattice, the steps and the disorder.

    Returns
    -------
    symbols : ndarray of str, shape (M,)
        ``"Ce"`` or ``"O"``.
    positions : ndarray, shape (M, 3), float64
        Positions [nm], with the interface at y = 0 and the support at positive y.
    """
    p = parameters
    if p.content not in {"both", "support"}:
        return np.zeros(0, "U2"), np.zeros((0, 3))
    field = p.field
    # As far as a corner of the cell can be from the middle of the interface.
    reach = field.radius + 0.5 * np.hypot(field.height, field.width) + 0.5
    crystal = orient(up=[1, 1, 1], beam=[1, -1, 0])
    # O planes lie a quarter layer to either side of those of Ce, of which one passes
    # through the origin; the box begins just above the O plane of a whole layer.
    origin = np.array([rng.uniform(0, CERIA), INTERFACE_GAP + LAYER / 4, 0.0])
    low = np.array([-reach, INTERFACE_GAP - LAYER / 8, -p.thickness / 2]) - origin
    high = np.array([reach, reach, p.thickness / 2]) - origin
    vectors = cubic_cell(CERIA) @ crystal
    positions, kinds = fill_box(vectors, _FLUORITE, low, high)
    positions = positions + origin
    sides = rng.permutation([-1, 1])[: p.support_steps]
    for side in sides:
        edge = p.size / 2 + rng.uniform(0.15, 0.8)
        upper = positions[:, 1] < INTERFACE_GAP + 0.75 * LAYER
        gone = upper & (side * positions[:, 0] > edge)
        positions, kinds = positions[~gone], kinds[~gone]
    positions = positions + p.disorder * rng.normal(size=positions.shape)
    return np.where(kinds < 4, "Ce", "O"), positions
