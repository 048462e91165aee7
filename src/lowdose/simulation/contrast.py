"""Whether the atom columns of an image are white, black, or in between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.ndimage import gaussian_filter

from lowdose.simulation.specimens.specimen import ANGSTROM

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from lowdose.simulation.specimens.specimen import Specimen

CLASSES: Final = ("black", "intermediate", "white", "none")
#: Column contrast below which columns count as black, and above which as white. With
#: these the preset ``sbd`` has SBD's shares of the classes; found on 800 of its images.
_BLACK, _WHITE = -0.045, 0.097
#: Standard deviations [nm] of the Gaussians by which atoms are as wide as columns in an
#: image, and that take the local mean.
_WIDTH, _LOCAL = 0.04, 0.12
#: Share of the strongest local mean of atoms above which there is specimen.
_SPECIMEN: Final = 0.25


def column_contrast(
    image: ArrayLike,
    specimen: Specimen,
    *,
    pixel_size: float,
    vacuum: float,
) -> float | None:
    """Return how strongly atom columns show in a clean image, and with which sign.

    The atoms, weighted by their atomic number and projected, are blurred to the width
    of columns; from them and from the image the local mean is taken. The contrast is
    the root mean square, over the specimen, of what in the image is proportional to
    the atoms, over the intensity of the vacuum; positive where they are bright.

    Parameters
    ----------
    image : array_like, shape (H, W)
        Clean intensity, of the middle of the view.
    specimen : Specimen
        What it shows.
    pixel_size : float
        [nm/px].
    vacuum : float
        Intensity of the vacuum; where it is 0, as in dark field, the mean of the image
        takes its place.

    Returns
    -------
    float or None
        None where there is nothing to tell: no atom in the image, atoms without
        columns, or an image that is all the same or without a positive mean.
    """
    pixels = np.asarray(image, np.float64)
    reference = vacuum if vacuum > 0 else float(pixels.mean())
    atoms = _projected(specimen, pixels.shape, pixel_size)
    if not reference > 0 or not atoms.any() or not np.ptp(pixels):
        return None
    local = gaussian_filter(atoms, _LOCAL / pixel_size)
    where = local > _SPECIMEN * local.max()
    columns = (gaussian_filter(atoms, _WIDTH / pixel_size) - local)[where]
    seen = (pixels - gaussian_filter(pixels, _LOCAL / pixel_size))[where]
    columns -= columns.mean()
    spread = float(columns.std())
    if not spread:
        return None
    return float(np.mean(columns * (seen - seen.mean()))) / spread / reference


def contrast_class(contrast: float | None) -> str:
    """Return the contrast class that goes with a column contrast.

    SBD sort their images by whether atom columns look white, black or in between, by
    eye. Theirs are black at a defocus of 0 to 1 nm only, and white never at 0 and most
    often from 13 nm on; so it is by the columns themselves, not by how the image as a
    whole differs from the vacuum.

    Parameters
    ----------
    contrast : float or None
        Of :func:`column_contrast`.

    Returns
    -------
    {"black", "intermediate", "white", "none"}
        Black below -0.045, white above 0.097; none where there is no contrast to tell.
    """
    if contrast is None:
        return "none"
    if contrast < _BLACK:
        return "black"
    return "white" if contrast > _WHITE else "intermediate"


def _projected(
    specimen: Specimen, shape: tuple[int, ...], pixel_size: float
) -> NDArray[np.float64]:
    """Return the atomic numbers of a specimen, summed in the pixels of an image."""
    atoms = specimen.atoms
    centre = atoms.cell.lengths()[:2] / 2
    x, y = ((atoms.positions[:, :2] - centre) / ANGSTROM / pixel_size).T
    rows, columns = (
        np.rint(place + (size - 1) / 2).astype(int)
        for place, size in zip((y, x), shape, strict=True)
    )
    inside = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
    projected = np.zeros(shape)
    np.add.at(
        projected, (rows[inside], columns[inside]), atoms.numbers[inside].astype(float)
    )
    return projected
