"""The sample data: a low-dose movie of a particle on a support, and one frame of it.

Drawn, not simulated: columns are Gaussians on the lattice positions of platinum and
ceria seen along [110], brighter than the vacuum, with Poisson noise. It shows what
the program does; it is no measure of how well it does it.
"""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lowdose.io import read
from lowdose.micrograph import Axis, Calibration, Micrograph

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Sampling [nm/px] and time per frame [s] of the sample movie.
PIXEL_SIZE: Final = 0.02
FRAME_TIME: Final = 0.025
#: Mean electrons in a pixel of vacuum.
VACUUM: Final = 4.0

_SIZE: Final = 256
_FRAMES: Final = 16
#: Frame in which an atom of the surface hops to the next site.
_HOP: Final = 8
#: Drift along y and x [nm/frame].
_DRIFT: Final = (0.004, -0.007)
#: Lattice constants of platinum and ceria [nm].
_PT, _CEO2 = 0.392, 0.541
_FILE: Final = "sample-movie.tif"


def sample_movie() -> Micrograph:
    """Read the sample movie that comes with the package.

    Returns
    -------
    Micrograph, shape (16, 256, 256), uint8
        Electron counts, 4 e-/px in vacuum, 0.02 nm/px, 25 ms per frame. The specimen
        drifts, and one surface atom hops in frame 8.
    """
    with resources.as_file(resources.files("lowdose") / "data" / _FILE) as path:
        movie = read(path)
    return movie.replace(name="sample movie")


def sample_frame() -> Micrograph:
    """Return the first frame of the sample movie, shape (256, 256)."""
    movie = sample_movie()
    return Micrograph(movie.frame(0), movie.calibration.last(2), "sample frame")


def draw_movie(seed: int = 1) -> tuple[Micrograph, Micrograph]:
    """Draw the sample movie anew.

    Parameters
    ----------
    seed : int, optional
        Seed of the noise; 1 makes the one that comes with the package.

    Returns
    -------
    counts : Micrograph, shape (16, 256, 256), uint8
        Noisy electron counts.
    rates : Micrograph, shape (16, 256, 256), float32
        Expected electrons per pixel.
    """
    rng = np.random.default_rng(seed)
    rates = np.stack([_frame(number) for number in range(_FRAMES)])
    counts = np.minimum(rng.poisson(rates), 255).astype(np.uint8)
    calibration = Calibration(
        axes=(
            Axis(label="t", spacing=FRAME_TIME, unit="s"),
            Axis(label="y", spacing=PIXEL_SIZE, unit="nm"),
            Axis(label="x", spacing=PIXEL_SIZE, unit="nm"),
        ),
        counts_per_electron=1.0,
    )
    return (
        Micrograph(counts, calibration, "sample movie"),
        Micrograph(rates, calibration, "sample movie, clean"),
    )


def drawn_events() -> tuple[NDArray[np.float64], list[dict[str, Any]]]:
    """Return what happens in the drawn movie.

    Returns
    -------
    shifts : ndarray, shape (16, 2), float64
        Displacement of the specimen in every frame [px].
    events : list of dict
        As of :func:`lowdose.simulation.movies.describe_event`: one hop.
    """
    shifts = np.outer(np.arange(_FRAMES), _DRIFT) / PIXEL_SIZE
    before, after = (
        (_particle(hopped=hopped)[-1] + _HOP * np.array(_DRIFT)) / PIXEL_SIZE
        for hopped in (False, True)
    )
    event = {
        "frame": _HOP,
        "kind": "hop",
        "atoms": 1,
        "y_before": float(before[0]),
        "x_before": float(before[1]),
        "y_after": float(after[0]),
        "x_after": float(after[1]),
    }
    return shifts, [event]


def _frame(number: int) -> NDArray[np.float32]:
    """Draw the expected counts of one frame."""
    y, x = np.mgrid[:_SIZE, :_SIZE] * PIXEL_SIZE
    drift = np.array(_DRIFT) * number
    image = np.zeros((_SIZE, _SIZE))
    for columns, height, width in (
        (_particle(hopped=number >= _HOP), 1.2, 0.062),
        (_support(), 0.8, 0.075),
    ):
        for cy, cx in columns + drift:
            near = slice(*_reach(cy)), slice(*_reach(cx))
            square = (y[near] - cy) ** 2 + (x[near] - cx) ** 2
            image[near] += height * np.exp(-square / (2 * width**2))
    return (VACUUM * (1 + image)).astype(np.float32)


def _particle(*, hopped: bool) -> NDArray[np.float64]:
    """Return the columns [nm] of a faceted particle, and of one atom on its top."""
    centre, interface = 2.6, 3.4
    along, up = _PT / np.sqrt(2), _PT / 2
    columns = [
        (interface - row * up, centre + (column + 0.5 * (row % 2)) * along)
        for row in range(10)
        for column in range(-9, 10)
    ]
    kept = [
        (cy, cx)
        for cy, cx in columns
        # Two inclined facets, and a shorter row at the interface.
        if abs(cx - centre) < 1.75 - 0.55 * abs((interface - cy) - 0.65)
    ]
    top = min(cy for cy, _ in kept)
    atom = (top - up, centre + (1 if hopped else 0) * along)
    return np.array([*kept, atom])


def _support() -> NDArray[np.float64]:
    """Return the cerium columns [nm] of the support, which reaches to the border."""
    along, up = _CEO2 / np.sqrt(2), _CEO2 / 2
    return np.array(
        [
            (3.72 + row * up, (column + 0.5 * (row % 2)) * along)
            for row in range(8)
            for column in range(-1, 16)
        ]
    )


def _reach(centre: float) -> tuple[int, int]:
    """Return the pixels within 0.4 nm of a coordinate [nm]."""
    low, high = (centre - 0.4) / PIXEL_SIZE, (centre + 0.4) / PIXEL_SIZE
    return max(0, int(low)), max(0, min(_SIZE, int(high) + 2))
