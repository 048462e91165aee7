"""What the measured blocks say of the noise, and how far they can be trusted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from lowdose.noise.line import Line, fit_line
from lowdose.noise.model import NoiseModel

if TYPE_CHECKING:
    from lowdose.noise.blocks import Blocks

Method = Literal["line", "cumulant", "proportional", "constant"]

#: The slope must be this many times its standard error to be believed.
_SIGNIFICANT = 4.0


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


def judge(
    measured: list[Blocks], offset: float | None, read_noise: float | None
) -> NoiseEstimate:
    """Take the first method that the data support.

    Parameters
    ----------
    measured : list of Blocks
        One entry per size of blocks, the largest first; none of them empty.
    offset, read_noise : float or None
        As for :func:`lowdose.noise.estimate_noise`.

    Returns
    -------
    NoiseEstimate
        The model, its errors, and which method was used.
    """
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
