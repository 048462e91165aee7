"""PURE-LET: Haar wavelets whose shrinkage is found from the counts themselves."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from lowdose.filters.arguments import as_frame, recognised_noise
from lowdose.filters.spec import FilterSpec, Frame, Values
from lowdose.noise import NoiseModel, noise_sigma
from lowdose.parameters import Parameter

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from lowdose.denoiser import Measures

LEVELS = Parameter(
    name="levels",
    kind="int",
    default=0,
    minimum=0,
    maximum=10,
    help="Number of octaves to shrink; 0 is as many as leave 16 coefficients a side.",
)
SHIFTS = Parameter(
    name="shifts",
    kind="int",
    default=4,
    minimum=1,
    maximum=16,
    help="Average over this many shifts along either axis, against blocky artefacts.",
)
NOISE = Parameter(
    name="noise",
    kind="choice",
    default="auto",
    choices=("auto", "counts"),
    help="Noise of the frame: recognised or estimated, or that of electron counts.",
    advanced=True,
)

#: Coefficients that are left on the shorter side by the automatic number of octaves.
_FEWEST: Final = 16
#: Coefficients below which a band gets one number in place of six.
_ENOUGH: Final = 200
#: Smallest variance that a threshold is taken for, where there are no counts at all.
_FLOOR: Final = 0.1
#: Half step of the numerical derivative, in standard deviations of the read noise.
_HALF_STEP: Final = 0.1


def pure_let(
    frame: ArrayLike,
    *,
    noise: NoiseModel | None = None,
    levels: int = 0,
    shifts: int = 4,
) -> Frame:
    r"""Shrink Haar coefficients so that the estimated error is the least.

    In the unnormalised Haar transform the sum s and the differences d of four Poisson
    counts are Poisson counts and their differences again, at every octave. For any
    estimator :math:`\theta(d, s)` of a difference its squared error is, but for a
    constant, estimated without bias and without the truth by

    .. math::

        \theta^2 - (s + d)\,\theta(d - 1, s - 1) + (s - d)\,\theta(d + 1, s - 1)

    (PURE [1]_). Here :math:`\theta = \sum_i a_i \theta_i` (a linear expansion of
    thresholds, LET) with

    .. math::

        \theta_{1..4} = \{\gamma_p, 1 - \gamma_p\} \times \{1, \gamma_d\}\; d,\quad
        \theta_{5, 6} = \{\gamma_p, 1 - \gamma_p\}\; p,

    where p is the difference of the sums on either side, which foretells d, and
    :math:`\gamma_x = \exp(-x^2 / 12 v_x)` with the variance v of the noise of x. The
    a of every band are the solution of six linear equations. Gaussian read noise adds
    the term of Stein to the estimate [2]_.

    Parameters
    ----------
    frame : array_like, shape (H, W)
        Counts, finite.
    noise : NoiseModel, optional
        Noise of the detector; that of electron counts by default. With gain 0 it is
        Gaussian alone (SURE-LET).
    levels : int, optional
        Octaves; 0 for as many as leave 16 coefficients on the shorter side.
    shifts : int, optional
        The result is averaged over this many shifts along either axis (cycle
        spinning).

    Returns
    -------
    ndarray, shape (H, W), float64
        The denoised frame, of the same mean but for the border.

    Raises
    ------
    InvalidImageError
        If the frame is none.
    ParameterError
        If a parameter is out of its range.

    References
    ----------
    .. [1] F. Luisier, C. Vonesch, T. Blu, M. Unser, "Fast interscale wavelet denoising
       of Poisson-corrupted images", Signal Process. 90 (2010) 415-427,
       doi:10.1016/j.sigpro.2009.07.009.
    .. [2] F. Luisier, T. Blu, M. Unser, "Image denoising in mixed Poisson-Gaussian
       noise", IEEE Trans. Image Process. 20 (2011) 696-708,
       doi:10.1109/TIP.2010.2073477.
    """
    values = as_frame(frame)
    model = NoiseModel() if noise is None else noise
    levels, shifts = int(LEVELS.validate(levels)), int(SHIFTS.validate(shifts))
    unit = model.gain or model.read_noise
    if unit == 0:
        return values.copy()
    counts = (values - model.offset) / unit
    if not levels:
        shorter = min(values.shape)
        levels = max(1, int(np.log2(max(shorter / _FEWEST, 1.0))))
    height, width = values.shape
    total = np.zeros_like(values)
    for y, x in itertools.product(range(shifts), repeat=2):
        moved = np.pad(counts, [(y, 0), (x, 0)], mode="symmetric")
        kind = _Noise(
            poisson=float(model.gain > 0), gaussian=(model.read_noise / unit) ** 2
        )
        total += _denoised(moved, kind, levels)[y : y + height, x : x + width]
    total *= unit / shifts**2
    total += model.offset
    return total


@dataclass(frozen=True, slots=True, kw_only=True)
class _Noise:
    """Noise of the sums of an octave: Poisson (1) or not (0), and Gaussian variance."""

    poisson: float
    gaussian: float


def _denoised(counts: Frame, noise: _Noise, levels: int) -> Frame:
    """Denoise the differences of an octave, and its sums by the octaves above."""
    shape = counts.shape
    extra = [(0, length % 2) for length in shape]
    counts = np.pad(counts, extra, mode="symmetric")
    a, b = counts[::2, ::2], counts[::2, 1::2]
    c, d = counts[1::2, ::2], counts[1::2, 1::2]
    sums = a + b + c + d
    above = _Noise(poisson=noise.poisson, gaussian=4 * noise.gaussian)
    around = np.pad(sums, 1, mode="reflect" if min(sums.shape) > 1 else "edge")
    # Each band is half of the four pixels less the other half; with it goes what the
    # neighbours say of it.
    bands = {
        "x": (a + c - b - d, around[1:-1, :-2], around[1:-1, 2:]),
        "y": (a + b - c - d, around[:-2, 1:-1], around[2:, 1:-1]),
        "xy": (
            a + d - b - c,
            (around[:-2, :-2] + around[2:, 2:]) / 2,
            (around[:-2, 2:] + around[2:, :-2]) / 2,
        ),
    }
    near = around[1:-1, :-2] + around[1:-1, 2:] + around[:-2, 1:-1] + around[2:, 1:-1]
    x, y, xy = (
        _band(difference, sums, first, second, near, above)
        for difference, first, second in bands.values()
    )
    if levels > 1 and sums.size > 1:
        sums = _denoised(sums, above, levels - 1)
    result = np.empty_like(counts)
    result[::2, ::2] = sums + x + y + xy
    result[::2, 1::2] = sums - x + y - xy
    result[1::2, ::2] = sums + x - y - xy
    result[1::2, 1::2] = sums - x - y + xy
    result /= 4
    return result[: shape[0], : shape[1]]


def _band(
    difference: Frame,
    sums: Frame,
    first: Frame,
    second: Frame,
    near: Frame,
    noise: _Noise,
) -> Frame:
    """Denoise one band of differences by the thresholds of least estimated error.

    Parameters
    ----------
    difference, sums : ndarray
        d and s of every four pixels.
    first, second : ndarray
        The sums on either side, whose difference foretells that of the pixels.
    near : ndarray
        The four sums around, together.
    noise : _Noise
        Of the sums.
    """
    predicted = first - second
    spread = noise.poisson * np.maximum(first + second, 0.0) + 2 * noise.gaussian
    flat = np.exp(-np.square(predicted) / (12 * np.maximum(spread, _FLOOR)))
    enough = difference.size >= _ENOUGH

    def thresholds(d: Frame, s: Frame) -> NDArray[np.float64]:
        if not enough:
            return d[None]
        local = noise.poisson * np.maximum((s + near) / 5, 0.0) + noise.gaussian
        small = np.exp(-np.square(d) / (12 * np.maximum(local, _FLOOR)))
        steep = 1.0 - flat
        return np.stack(
            [
                flat * d,
                steep * d,
                flat * small * d,
                steep * small * d,
                flat * predicted,
                steep * predicted,
            ]
        )

    def risen(half: float, change: float) -> NDArray[np.float64]:
        """Return the thresholds after one half of the pixels has changed."""
        return thresholds(difference + half * change, sums + change)

    here = thresholds(difference, sums)
    wanted = np.zeros(len(here))
    for half in (1.0, -1.0):
        of_half = (sums + half * difference) / 2
        lowered = risen(half, -noise.poisson)
        wanted += half * np.einsum("kij,ij->k", lowered, of_half)
        if noise.gaussian:
            step = _HALF_STEP * np.sqrt(noise.gaussian)
            slope = risen(half, step - noise.poisson)
            slope -= risen(half, -step - noise.poisson)
            slope *= noise.gaussian / 2 / (2 * step)
            wanted -= half * slope.sum(axis=(1, 2))
    flat_here = here.reshape(len(here), -1)
    gram = flat_here @ flat_here.T
    if not enough:
        share = wanted[0] / gram[0, 0] if gram[0, 0] > 0 else 1.0
        return np.asarray(np.clip(share, 0.0, 1.0) * difference)
    # By unit length, so that thresholds of any size weigh alike; those that are the
    # same on this band, or vanish on it, share what they are worth.
    length = np.sqrt(np.diag(gram))
    length[length == 0] = 1.0
    scaled = gram / np.outer(length, length)
    weights = np.linalg.pinv(scaled, rcond=1e-9, hermitian=True) @ (wanted / length)
    return np.asarray((weights / length) @ flat_here).reshape(difference.shape)


def _measure(frame: Frame, values: Values) -> dict[str, float]:
    if values["vst"] != "none":  # what is left is uniform
        return {"read_noise_left": noise_sigma(frame)}
    counts = values["noise"] == "counts"
    model = NoiseModel() if counts else recognised_noise(frame)
    return {
        "gain_here": model.gain,
        "offset_here": model.offset,
        "read_noise_here": model.read_noise,
    }


def _apply(frame: Frame, values: Values, measures: Measures) -> Frame:
    if "read_noise_left" in measures:
        noise = NoiseModel(gain=0.0, read_noise=measures["read_noise_left"])
    else:
        noise = NoiseModel(
            gain=measures["gain_here"],
            offset=measures["offset_here"],
            read_noise=measures["read_noise_here"],
        )
    return pure_let(
        frame,
        noise=noise,
        levels=int(values["levels"]),
        shifts=int(values["shifts"]),
    )


PURE_LET = FilterSpec(
    name="pure-let",
    title="PURE-LET",
    summary=(
        "Haar wavelets shrunk by the least estimated error: made for electron counts, "
        "with nothing to be tuned."
    ),
    reference="F. Luisier et al., IEEE TIP 20 (2011) 696, doi:10.1109/TIP.2010.2073477",
    own=(LEVELS, SHIFTS, NOISE),
    apply=_apply,
    reach=lambda _values: None,
    measure=_measure,
    presets={"fast": {"shifts": 1}, "fine": {"shifts": 8}},
    bytes_per_pixel=200.0,
)
