"""The row of parameters that goes with a simulated image."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, TypeVar

from lowdose.errors import ParameterError
from lowdose.simulation.contrast import column_contrast, contrast_class
from lowdose.simulation.specimens.specimen import flat

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.random import Generator
    from numpy.typing import NDArray

    from lowdose.simulation.specimens.specimen import Specimen

Drawn = TypeVar("Drawn")
Built = TypeVar("Built")

#: How often a specimen is drawn anew where what was drawn cannot be built.
_ATTEMPTS: Final = 25

#: Units of the columns that presets write.
UNITS: Final = {
    "pixel_size": "nm",
    "energy": "keV",
    "time": "s",
    "shift_y": "nm",
    "shift_x": "nm",
    "particle_rotation": "°",
    "size": "nm",
    "depth": "nm",
    "thickness": "nm",
    "thin": "nm",
    "carbon": "nm",
    "tilt_x": "°",
    "tilt_y": "°",
    "rotation": "°",
    "direction": "°",
    "disorder": "nm",
    "surface_disorder": "nm",
    "edge_roughness": "nm",
    "hole_radius": "nm",
    "ripple": "nm",
    "ripple_length": "nm",
    "field_height": "nm",
    "field_width": "nm",
    "margin": "nm",
    "defocus": "nm",
    "cs": "µm",
    "c5": "mm",
    "astigmatism": "nm",
    "astigmatism_angle": "°",
    "coma": "nm",
    "coma_angle": "°",
    "trefoil": "nm",
    "trefoil_angle": "°",
    "focal_spread": "nm",
    "angular_spread": "mrad",
    "aperture": "mrad",
    "vibration": "nm",
    "convergence": "mrad",
    "inner": "mrad",
    "outer": "mrad",
    "source_size": "nm",
    "window": "nm",
    "jitter": "nm",
    "line_jitter": "nm",
    "displacement": "nm",
    "drift_y": "nm",
    "drift_x": "nm",
    "row_noise": "counts",
    "y_before": "px",
    "x_before": "px",
    "y_after": "px",
    "x_after": "px",
}


def draw_until_possible(
    draw: Callable[[Generator], Drawn],
    build: Callable[[Drawn], Built],
    rng: Generator,
) -> tuple[Drawn, Built]:
    """Draw parameters until something can be built of them.

    Independent draws sometimes contradict each other, such as a defect of the surface
    of a particle that is too small to have one: those are rejected.

    Parameters
    ----------
    draw : callable
        Generator to parameters.
    build : callable
        Parameters to what is wanted; raises ParameterError where that is impossible.
    rng : Generator
        Source of every choice.

    Returns
    -------
    parameters, built
        Of the first draw that is possible.

    Raises
    ------
    ParameterError
        If many in a row are not.
    """
    for attempt in range(_ATTEMPTS):
        parameters = draw(rng)
        try:
            return parameters, build(parameters)
        except ParameterError:
            if attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError


def image_record(
    specimen: Specimen,
    number: int,
    image: NDArray[np.float32],
    *,
    index: int,
    vacuum: float,
    pixel_size: float,
    energy: float,
    optics: Any,
    **more: Any,
) -> dict[str, Any]:
    """Return everything that is known about an image, as JSON types.

    Parameters
    ----------
    specimen : Specimen
        What it shows.
    number : int
        Number of the specimen in the set.
    image : ndarray, shape (H, W), float32
        The image, for the contrast of its columns; of a scan the one without errors of
        the scan, whose atoms are where the specimen has them.
    index : int
        Its number among those of the specimen.
    vacuum : float
        Intensity of the vacuum in it.
    pixel_size : float
        [nm/px].
    energy : float
        [keV].
    optics : dataclass instance
        Of the lens or the scan.
    **more
        Further columns.

    Returns
    -------
    dict
        ``contrast`` is the class and ``column_contrast`` what it goes by; how much
        contrast was left is ``contrast_factor``.
    """
    known = specimen.record()
    seed = known.pop("seed")
    lens = flat(optics)
    if "contrast" in lens:
        lens["contrast_factor"] = lens.pop("contrast")
    lens = {name: None if value == math.inf else value for name, value in lens.items()}
    shown = column_contrast(image, specimen, pixel_size=pixel_size, vacuum=vacuum)
    return {
        "specimen": number,
        "specimen_seed": seed,
        "image": index,
        "pixel_size": pixel_size,
        "energy": energy,
        "contrast": contrast_class(shown),
        "column_contrast": shown,
        **more,
        **known,
        **lens,
    }
