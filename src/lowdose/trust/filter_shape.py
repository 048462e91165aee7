"""The result of an equivalent filter: its weights, its reach and what it explains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lowdose.micrograph import Micrograph
from lowdose.trust.counting import pixel_size
from lowdose.trust.maps import TrustMap

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

#: Column spacings beyond which the share of the weight is told.
_SPACINGS: Final = (1, 2, 5)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EquivalentFilter:
    """Which noisy pixels made a denoised one.

    Parameters
    ----------
    row, column : int
        The denoised pixel.
    value : float
        What it is [counts]; without `keep_mean`, which adds the same constant to all.
    weights : ndarray, shape (F, H, W), float32
        Derivative of `value` by the noisy pixels of every frame that the denoiser
        sees [counts per count]; NaN where it was not computed.
    weighted_sum : float
        Weights times noisy counts, summed over what was computed [counts].
    net_bias : float
        ``value - weighted_sum``: what the filter does not explain [counts]. 0 for a
        linear or homogeneous denoiser.
    weight_sum : float
        Sum of the weights. The frame's mean, measured beforehand, counts with about
        1 minus this in a network that is given counts less their mean.
    mean_share : float
        That part of `value`: ``(1 - weight_sum) * mean`` [counts].
    radius_px, radius_nm : float, float or None
        Effective radius: root mean square distance of the absolute weights.
    half_radius_px : float
        Distance within which half of the absolute weight lies.
    beyond : mapping of int to float
        Share of the absolute weight beyond 1, 2 and 5 column spacings; empty where no
        spacing was given.
    guided : bool
        Whether `weights` are guided backpropagation, not derivatives.
    maps : tuple of TrustMap
        The weights of the middle frame.
    """

    row: int
    column: int
    value: float
    weights: NDArray[np.float32]
    weighted_sum: float
    net_bias: float
    weight_sum: float
    mean_share: float
    radius_px: float
    radius_nm: float | None
    half_radius_px: float
    beyond: Mapping[int, float]
    guided: bool
    maps: tuple[TrustMap, ...]


def describe_filter(
    micrograph: Micrograph,
    frames: NDArray[np.float32],
    weights: NDArray[np.float32],
    pixel: tuple[int, int],
    value: float,
    spacing: float | None,
    caveats: tuple[str, ...],
    *,
    guided: bool,
    middle: int,
) -> EquivalentFilter:
    """Measure the reach of a filter and what it explains.

    Parameters
    ----------
    micrograph : Micrograph
        The noisy image, for calibration and name.
    frames, weights : ndarray, shape (F, H, W)
        What the denoiser saw, and its weights; NaN where not computed.
    pixel : tuple of int
        Row and column of the denoised pixel.
    value : float
        What it is [counts].
    spacing : float or None
        Of columns [px].
    caveats : tuple of str
        For the map.
    guided : bool
        Whether the weights are guided backpropagation.
    middle : int
        The frame that is denoised.

    Returns
    -------
    EquivalentFilter
    """
    known = np.nan_to_num(weights).astype(np.float64)
    total, explained = float(known.sum()), float((known * frames).sum())
    y, x = np.ogrid[: frames.shape[1], : frames.shape[2]]
    distance = np.broadcast_to(np.hypot(y - pixel[0], x - pixel[1]), known.shape)
    size = np.abs(known)
    whole = float(size.sum())
    share = size / whole if whole else size
    radius = float(np.sqrt((share * distance**2).sum()))
    order = np.argsort(distance, axis=None)
    inside = np.cumsum(share.ravel()[order])
    at = min(int(np.searchsorted(inside, 0.5)), inside.size - 1)
    half = float(distance.ravel()[order[at]])
    beyond = (
        {}
        if spacing is None
        else {n: float(share[distance > n * spacing].sum()) for n in _SPACINGS}
    )
    nm = pixel_size(micrograph)
    mean = float(frames[middle].mean(dtype=np.float64))
    numbers: dict[str, Any] = {
        "value [counts]": value,
        "weighted sum [counts]": explained,
        "net bias [counts]": value - explained,
        "sum of weights": total,
        "effective radius [px]": radius,
        "effective radius [nm]": None if nm is None else radius * nm,
        **{f"share beyond {n} column spacings": s for n, s in beyond.items()},
    }
    calibration = micrograph.calibration.last(2)
    name = "guided backpropagation" if guided else "equivalent filter"
    return EquivalentFilter(
        row=pixel[0],
        column=pixel[1],
        value=value,
        weights=weights,
        weighted_sum=explained,
        net_bias=value - explained,
        weight_sum=total,
        mean_share=(1 - total) * mean,
        radius_px=radius,
        radius_nm=None if nm is None else radius * nm,
        half_radius_px=half,
        beyond=beyond,
        guided=guided,
        maps=(
            TrustMap(
                name=name,
                image=Micrograph(weights[middle], calibration, micrograph.name),
                unit="1",
                meaning="Large where a count in the noisy image changed the chosen "
                "pixel of the denoised image much.",
                scale="diverging",
                numbers=numbers,
                caveats=caveats,
            ),
        ),
    )
