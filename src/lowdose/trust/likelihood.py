r"""The likelihood map of simulation-based denoising (SBD), as it was published.

For each column, the mean over its disk of the log-likelihood ratio of the noisy counts
under the mean denoised rate of the disk and under the rate of the vacuum. Our own
evidence is in :mod:`lowdose.trust.evidence`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

from lowdose.trust.column_test import disk
from lowdose.trust.maps import TrustMap

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lowdose.trust.columns import Columns
    from lowdose.trust.counting import Counted

#: Distance of the region between columns and vacuum in the published maps [px].
_MARGIN: Final = 25
#: Least rate, as a share of that of the vacuum: a denoised image may be negative.
_FLOOR: Final = 1e-3


def mean_likelihood_ratio(
    counted: Counted, columns: Columns, vacuum_mask: NDArray[np.bool_]
) -> NDArray[np.float64]:
    r"""Return SBD's log-likelihood ratio of every column [nats per pixel].

    With :math:`\lambda_A` the mean of the *denoised* image in the disk of the column,
    :math:`\lambda_v` its mean in the vacuum and n the pixels of the disk,
    :math:`\frac1n \sum_A [(\lambda_v - \lambda_A) + y \ln(\lambda_A / \lambda_v)]`
    [1]_.

    Parameters
    ----------
    counted : Counted
        Counts and denoised rate.
    columns : Columns
        Where.
    vacuum_mask : ndarray, shape (H, W), bool
        The vacuum.

    Returns
    -------
    ndarray, shape (N,)
        Above 0 the column is the likelier. NaN for a column without valid pixels.

    References
    ----------
    .. [1] S. Mohan, R. Manzorro, J. L. Vincent et al., "Deep Denoising for Scientific
       Discovery: A Case Study in Electron Microscopy", IEEE Trans. Comput. Imaging 8,
       585 (2022). doi:10.1109/TCI.2022.3176536
    """
    vacuum = float(counted.rate[vacuum_mask].mean())
    ratios = np.full(len(columns), np.nan)
    for number, position in enumerate(columns.positions):
        inside = disk(counted, position, columns.radius)
        if inside[0].size:
            column = float(counted.rate[inside].mean())
            mean_counts = float(counted.electrons[inside].mean())
            ratios[number] = _mean_ratio(mean_counts, column, vacuum)
    return ratios


def sbd_map(
    counted: Counted, columns: Columns, vacuum_mask: NDArray[np.bool_]
) -> TrustMap:
    """Draw SBD's likelihood map.

    The value of each column fills its disk; all that is farther than 25 px from any
    disk is one further object, tested at the mean rate of the columns.

    Parameters
    ----------
    counted : Counted
        Counts and denoised rate.
    columns : Columns
        Where.
    vacuum_mask : ndarray, shape (H, W), bool
        The vacuum.

    Returns
    -------
    TrustMap
        NaN between.
    """
    ratios = mean_likelihood_ratio(counted, columns, vacuum_mask)
    image = fill_disks(counted, columns, ratios)
    covered = np.isfinite(image)
    far = ndimage.distance_transform_edt(~covered) > _MARGIN
    far &= counted.valid
    if far.any() and covered.any():
        vacuum = float(counted.rate[vacuum_mask].mean())
        mean_counts = float(counted.electrons[far].mean())
        image[far] = _mean_ratio(
            mean_counts, float(counted.rate[covered].mean()), vacuum
        )
    return TrustMap(
        name="likelihood (SBD)",
        image=counted.frame.replace(data=image),
        unit="nats per pixel",
        meaning="Above 0 the counts fit the denoised column better than vacuum, below "
        "0 the vacuum.",
        scale="diverging",
        numbers={
            "columns": len(columns),
            "median": float(np.nanmedian(ratios)),
            "below zero": int((ratios < 0).sum()),
        },
        caveats=(
            *counted.caveats,
            "A mean per pixel: the same value at ten times the electrons is far "
            "stronger evidence.",
            "Rates are taken from an image made of the same counts, which favours "
            "whatever it shows.",
        ),
    )


def fill_disks(
    counted: Counted, columns: Columns, values: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return an image with the value of each column in its disk, NaN elsewhere."""
    image = np.full(counted.electrons.shape, np.nan, np.float32)
    for position, value in zip(columns.positions, values, strict=True):
        image[disk(counted, position, columns.radius)] = value
    return image


def _mean_ratio(mean_counts: float, column: float, vacuum: float) -> float:
    column = max(column, _FLOOR * vacuum)
    return vacuum - column + mean_counts * float(np.log(column / vacuum))
