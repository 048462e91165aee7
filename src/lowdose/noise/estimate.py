"""Gain, offset and read noise of a detector, estimated from its micrographs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lowdose.errors import InvalidImageError, ParameterError
from lowdose.micrograph import Micrograph
from lowdose.noise.blocks import (
    Blocks,
    block_edges,
    single_frame_blocks,
    temporal_blocks,
)
from lowdose.noise.line import Line, fit_line
from lowdose.noise.model import NoiseModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

Method = Literal["line", "cumulant", "proportional", "constant"]

#: The slope must be this many times its standard error to be believed.
_SIGNIFICANT = 4.0
#: Blocks of one size to fit at most; more add seconds and little accuracy.
_MOST_BLOCKS = 40_000


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseEstimate:
    """A noise model found in data, and how sure it is.

    Parameters
    ----------
    model : NoiseModel
        Gain, offset and read noise.
    method : {"line", "cumulant", "proportional", "constant"}
        How they were found. ``"line"``: variance against mean over the specimen.
        ``"cumulant"``: the means differ by noise alone; its skewness gave the
        gain, assuming that there is no read noise. ``"proportional"``: the offset
        cannot be told and was assumed (0 where it was not given); the gain is
        variance over mean. ``"constant"``: the noise does not grow with the
        signal; the gain is 0 and the read noise stands for all of it.
    reason : str
        Why `method` was used, in a sentence.
    gain_error, offset_error : float
        Standard errors [counts per electron] and [counts], from the scatter of the
        blocks. What was given or assumed has the error 0.
    mean_range : tuple of float
        5th and 95th percentile of the local mean [counts].
    blocks : int
        Number of blocks of pixels that were used.
    """

    model: NoiseModel
    method: Method
    reason: str
    gain_error: float
    offset_error: float
    mean_range: tuple[float, float]
    blocks: int


def estimate_noise(
    image: Any,
    *,
    offset: float | None = None,
    read_noise: float | None = None,
    temporal: bool = False,
    max_frames: int = 16,
) -> NoiseEstimate:
    r"""Estimate gain and offset of a detector from what it recorded.

    Photon transfer on the micrograph itself [1]_ [2]_: the variance of counting noise
    is :math:`g (\mathrm{mean} - o) + r^2`, a line whose slope is the gain. Mean and
    variance are taken in blocks of pixels, the variance from the highest
    frequencies, where the specimen is weak; blocks that show structure at lower
    frequencies are left out, and the line is fitted with weights and without
    outliers. All averages are means of squares, never medians, so that counts of
    0.2 e-/px work.

    Parameters
    ----------
    image : Micrograph, array_like of shape (..., H, W), or sequence of frames
        Detector counts as the detector gave them: an image that was filtered,
        resampled or summed over shifted frames has lost the noise to be measured.
    offset : float, optional
        Reading without electrons [counts], where it is known.
    read_noise : float, optional
        Noise of that reading [counts rms], where it is known.
    temporal : bool, optional
        Whether the frames show an unmoving specimen. The variance is then taken
        from differences of consecutive frames, in which any specimen cancels.
    max_frames : int, optional
        Read at most this many frames: spread over the stack, or, for `temporal`,
        consecutive ones from its middle.

    Returns
    -------
    NoiseEstimate
        The model, its standard errors, and which of three methods was used; it falls
        back explicitly where the data cannot tell the offset.

    Raises
    ------
    InvalidImageError
        If the image is none, or no block of it is finite and unsaturated.
    ParameterError
        If a parameter is out of its range, or `temporal` is asked of one frame.

    Notes
    -----
    The line tells only :math:`r^2 - g o`. Where neither offset nor read noise is
    given, a line that meets zero variance at a positive mean is read as an offset
    without read noise, and any other as read noise without offset. Both
    describe the same noise, and :func:`~lowdose.noise.gat` is the same for them.

    Blurring inside the detector (its point spread) lowers the high-frequency
    variance, and with it the gain. Where means differ between blocks by counting noise
    alone, read noise lowers the slope; give `offset` then.

    References
    ----------
    .. [1] J. R. Janesick, "Photon Transfer", SPIE Press 2007,
       doi:10.1117/3.725073.
    .. [2] A. Foi, M. Trimeche, V. Katkovnik, K. Egiazarian, "Practical
       Poissonian-Gaussian noise modeling and fitting for single-image raw-data",
       IEEE Trans. Image Process. 17 (2008) 1737-1754, doi:10.1109/TIP.2008.2001399.
    """
    if read_noise is not None and not (math.isfinite(read_noise) and read_noise >= 0):
        msg = f"read_noise={read_noise} must be a finite number, at least 0."
        raise ParameterError(msg)
    if offset is not None and not math.isfinite(offset):
        msg = f"offset={offset} must be a finite number."
        raise ParameterError(msg)
    if max_frames < 1:
        msg = f"max_frames={max_frames} must be at least 1."
        raise ParameterError(msg)
    micrograph = _as_micrograph(image)
    frames = _chosen_frames(micrograph, max_frames, temporal=temporal)
    measured = [blocks for blocks in _measure(frames, temporal=temporal) if blocks.size]
    if not measured:
        msg = (
            "The noise cannot be estimated: every part of the image has NaN, Inf or "
            "saturated pixels."
        )
        raise InvalidImageError(msg)
    return _judge(measured, offset, read_noise)


def _as_micrograph(image: Any) -> Micrograph:
    if isinstance(image, Micrograph):
        return image
    if isinstance(image, (list, tuple)) and all(
        isinstance(frame, np.ndarray) for frame in image
    ):
        shapes = {frame.shape for frame in image}
        if len(shapes) > 1:
            msg = f"The frames have different shapes: {sorted(shapes)}."
            raise InvalidImageError(msg)
    return Micrograph(image)


def _chosen_frames(
    micrograph: Micrograph, max_frames: int, *, temporal: bool
) -> list[NDArray[Any]]:
    if not temporal:
        count = min(micrograph.n_frames, max_frames)
        numbers = np.linspace(0, micrograph.n_frames - 1, count).round().astype(int)
        return [micrograph.frame(int(number)) for number in numbers]
    count = min(micrograph.n_frames, max(2, max_frames))
    if count < 2:
        msg = "temporal=True needs at least two frames; this image has one."
        raise ParameterError(msg)
    first = (micrograph.n_frames - count) // 2
    return [micrograph.frame(number) for number in range(first, first + count)]


def _measure(frames: list[NDArray[Any]], *, temporal: bool) -> list[Blocks]:
    """Measure in blocks of several sizes, the largest first."""
    shape = frames[0].shape
    edges = block_edges((shape[0], shape[1]))
    if temporal:
        return temporal_blocks(frames, edges)
    of_frames = [
        single_frame_blocks(frame, edges, at_most=_MOST_BLOCKS // len(frames))
        for frame in frames
    ]
    return [Blocks.join(parts) for parts in zip(*of_frames, strict=True)]


def _judge(
    measured: list[Blocks], offset: float | None, read_noise: float | None
) -> NoiseEstimate:
    """Take the first method that the data support."""
    largest = measured[0]
    if not any(np.any(blocks.variance > 0) for blocks in measured):
        reason = "The image has no noise at all."
        return _result(largest, "constant", reason, NoiseModel(gain=0.0))
    if offset is not None and read_noise is not None:
        reason = "Offset and read noise were given."
        return _through(largest, offset, read_noise, reason)
    # Of the block sizes the one whose slope is surest: small blocks see more
    # different means, in large ones each mean is surer.
    plain = min((fit_line(b) for b in measured), key=_error)
    robust = min(
        (fit_line(b, instrument=True) for b in measured),
        key=lambda line: (not line.spanned, _error(line)),
    )
    if robust.spanned and robust.slope > _SIGNIFICANT * robust.slope_error:
        # Read noise would draw the plain slope down, and only it; where it does not,
        # the plain line is the more precise of the two.
        agrees = plain.slope > robust.slope - 2 * robust.slope_error
        reason = "The local means span enough for a line of variance against mean."
        line = plain if agrees else robust
        return _from_line(largest, line, offset, read_noise, "line", reason)
    if (
        plain.slope > _SIGNIFICANT * plain.slope_error
        and plain.intercept < 2 * plain.intercept_error
        and offset is None
        and not read_noise
    ):
        reason = (
            "The local means differ by counting noise alone; the gain was taken from "
            "its skewness, assuming that there is no read noise."
        )
        return _from_line(largest, plain, None, 0.0, "cumulant", reason)
    return _fallback(largest, plain, offset, read_noise or 0.0)


def _error(line: Line) -> float:
    return line.slope_error


def _from_line(
    blocks: Blocks,
    line: Line,
    offset: float | None,
    read_noise: float | None,
    method: Method,
    reason: str,
) -> NoiseEstimate:
    """Read offset or read noise from a line whose slope is sure."""
    error = 0.0
    if offset is not None:
        squared = line.intercept + line.slope * offset
        if squared < 0:
            reason = (
                f"The line gives a negative variance at the given offset {offset:g}; "
                "read noise is taken as 0."
            )
            return _through(blocks, offset, 0.0, reason)
        read_noise = math.sqrt(squared)
    elif read_noise is not None or line.intercept < 0:
        read_noise = read_noise or 0.0
        offset = (read_noise**2 - line.intercept) / line.slope
        error = line.crossing_error(offset)
    else:
        offset, read_noise = 0.0, math.sqrt(line.intercept)
    return _result(
        blocks,
        method,
        reason,
        NoiseModel(gain=line.slope, offset=offset, read_noise=read_noise),
        gain_error=line.slope_error,
        offset_error=error,
        used=line.used,
    )


def _fallback(
    blocks: Blocks, line: Line, offset: float | None, read_noise: float
) -> NoiseEstimate:
    """Assume the offset, or that the noise is the same everywhere."""
    base = offset or 0.0
    if float(blocks.mean.min()) > base:
        how = f"is taken as {base:g}" if offset is None else f"was given as {base:g}"
        reason = f"The local means span too little to fit an offset; it {how}."
        candidate = _through(blocks, base, read_noise, reason)
        gain = candidate.model.gain
        # An assumed offset must not contradict what the data do say of the slope.
        fits = abs(gain - line.slope) <= 3 * line.slope_error
        if gain > 0 and (fits or offset is not None):
            return candidate
    pooled = fit_line(blocks)
    return _result(
        blocks,
        "constant",
        "The variance does not grow with the mean as counting noise does.",
        NoiseModel(gain=0.0, offset=base, read_noise=math.sqrt(pooled.mean_variance)),
        used=pooled.used,
    )


def _through(
    blocks: Blocks, offset: float, read_noise: float, reason: str
) -> NoiseEstimate:
    """Fit the gain alone, through a known point of the line."""
    line = fit_line(blocks, through=(offset, read_noise**2))
    if line.slope <= 0:
        return _result(
            blocks,
            "constant",
            "The variance is not above the read noise.",
            NoiseModel(
                gain=0.0, offset=offset, read_noise=math.sqrt(line.mean_variance)
            ),
            used=line.used,
        )
    return _result(
        blocks,
        "proportional",
        reason,
        NoiseModel(gain=line.slope, offset=offset, read_noise=read_noise),
        gain_error=line.slope_error,
        used=line.used,
    )


def _result(
    blocks: Blocks,
    method: Method,
    reason: str,
    model: NoiseModel,
    *,
    gain_error: float = 0.0,
    offset_error: float = 0.0,
    used: int | None = None,
) -> NoiseEstimate:
    low, high = np.percentile(blocks.mean, [5, 95])
    return NoiseEstimate(
        model=model,
        method=method,
        reason=reason,
        gain_error=gain_error,
        offset_error=offset_error,
        mean_range=(float(low), float(high)),
        blocks=blocks.size if used is None else used,
    )
