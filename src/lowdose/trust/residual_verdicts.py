"""The residual of a denoised image, judged in words."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from scipy.ndimage import maximum_filter, uniform_filter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lowdose.trust.grounds import Grounds

Level = Literal["good", "doubtful", "bad"]

#: Significance that a finding must have before it is worth a word [standard errors].
_SIGNIFICANT: Final = 5.0
#: Shift of the mean, relative to it, that is doubtful, and bad.
_MEAN: Final = (0.005, 0.05)
#: Departure of the mean square from what is expected, likewise.
_DISPERSION: Final = (0.05, 0.2)
#: Departure of the autocorrelation from what is expected, likewise.
_CORRELATION: Final = (0.02, 0.1)
#: Share of the amplitude of the lattice that was taken away, likewise.
_LATTICE: Final = (0.15, 0.4)
#: Longest lag that whiteness is judged by [px].
_REACH: Final = 8
#: Spots of the specimen: power over the median of their ring, and most of them.
_SPOT: Final = 30.0
_MOST_SPOTS: Final = 12
#: Frequencies too low for a lattice [steps of frequency].
_LOWEST: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The outcome of one check.

    Parameters
    ----------
    check : str
        What was checked, such as ``"whiteness"``.
    level : {"good", "doubtful", "bad"}
        How it came out.
    sentence : str
        What that means, for a microscopist.
    numbers : mapping, optional
        What it rests on, as JSON types.
    """

    check: str
    level: Level
    sentence: str
    numbers: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the verdict as JSON types."""
        return {
            "check": self.check,
            "level": self.level,
            "sentence": self.sentence,
            "numbers": dict(self.numbers),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What the verdicts are drawn from.

    Parameters
    ----------
    residual : ndarray, shape (H, W)
        Normalised residual; NaN where a pixel is not valid.
    valid : ndarray, shape (H, W), bool
        Pixels that are.
    dispersion, expected_dispersion : float
        Mean square of the residual, and what it should be.
    correlation, expected_correlation : ndarray, shape (2 lags + 1, 2 lags + 1)
        Autocorrelation, lag zero in the middle.
    power, expected_power, denoised_power, noisy_power : ndarray, shape (H, W)
        Windowed power of the residual and of the two images, frequency zero in the
        middle; 1 is white noise of variance 1.
    replicates : int
        Residuals of the denoiser's own that the expectations rest on; 0 for white
        noise.
    """

    residual: NDArray[np.float64]
    valid: NDArray[np.bool_]
    dispersion: float
    expected_dispersion: float
    correlation: NDArray[np.float64]
    expected_correlation: NDArray[np.float64]
    power: NDArray[np.float64]
    expected_power: NDArray[np.float64]
    denoised_power: NDArray[np.float64]
    noisy_power: NDArray[np.float64]
    replicates: int


def judge_residual(grounds: Grounds, measured: Measured) -> tuple[Verdict, ...]:
    """Return the verdicts on mean, strength, whiteness and lattice of a residual.

    Parameters
    ----------
    grounds : Grounds
        The two images.
    measured : Measured
        Statistics of the residual.

    Returns
    -------
    tuple of Verdict
        Four.
    """
    return (
        _mean(grounds),
        _strength(measured),
        _whiteness(measured),
        _lattice(measured),
    )


def _level(departure: float, bounds: tuple[float, float], error: float) -> Level:
    """Return how bad a departure is that is known with a standard error."""
    if abs(departure) <= max(bounds[0], _SIGNIFICANT * error):
        return "good"
    return "doubtful" if abs(departure) <= bounds[1] else "bad"


def _mean(grounds: Grounds) -> Verdict:
    valid = grounds.valid
    difference = (grounds.noisy - grounds.denoised)[valid]
    there = abs(float(grounds.noisy[valid].mean()) - grounds.model.offset)
    shift = float(difference.mean())
    error = math.sqrt(float(np.mean(grounds.deviation()[valid] ** 2)) / difference.size)
    scale = there if there > 0 else error
    level = _level(shift / scale, _MEAN, error / scale)
    words = {
        "good": "The mean is kept: nothing was added or taken away on the whole.",
        "doubtful": "The mean has moved slightly: do not measure intensities on this.",
        "bad": "The mean has moved: intensities of this image are not counts.",
    }
    return Verdict(
        check="mean zero",
        level=level,
        sentence=f"{words[level]} (Shift {shift / scale:+.2%} of the mean.)",
        numbers={"shift_counts": shift, "shift_relative": shift / scale},
    )


def _strength(measured: Measured) -> Verdict:
    ratio = measured.dispersion / measured.expected_dispersion
    squares = measured.residual[measured.valid] ** 2
    relative = float(squares.std()) / measured.dispersion / math.sqrt(squares.size)
    error = relative * math.sqrt(1 + 1 / max(1, measured.replicates))
    level = _level(ratio - 1, _DISPERSION, error)
    if level == "good":
        words = "As much was taken away as there is noise."
    elif ratio > 1:
        words = (
            "More was taken away than there is noise: detail of the specimen with it, "
            "or the gain or the read noise is not what was assumed."
        )
    else:
        words = (
            "Less was taken away than there is noise: some of it is left in the "
            "denoised image, or the gain is not what was assumed."
        )
    return Verdict(
        check="strength",
        level=level,
        sentence=f"{words} (Variance {ratio:.2f} of that expected.)",
        numbers={
            "variance": measured.dispersion,
            "expected": measured.expected_dispersion,
        },
    )


def _whiteness(measured: Measured) -> Verdict:
    middle = measured.correlation.shape[0] // 2
    part = slice(middle - _REACH, middle + _REACH + 1)
    excess = (measured.correlation - measured.expected_correlation)[part, part]
    excess[_REACH, _REACH] = 0.0
    row, column = np.unravel_index(int(np.argmax(np.abs(excess))), excess.shape)
    worst = float(excess[row, column])
    error = math.sqrt((1 + 1 / max(1, measured.replicates)) / int(measured.valid.sum()))
    level = _level(worst, _CORRELATION, error)
    lag = math.hypot(row - _REACH, column - _REACH)
    unavoidable = worst < 0 and not measured.replicates
    if unavoidable and level == "bad":
        level = "doubtful"
    if level == "good":
        words = "What was taken away is as random from pixel to pixel as it should be."
    elif worst > 0:
        words = (
            "What was taken away hangs together: structure of the specimen is in it, "
            "or the noise itself is correlated by the detector."
        )
    elif unavoidable:
        words = (
            "What was taken away alternates. Every denoiser that follows the noise a "
            "little does that; name the denoiser to see whether it is more than usual."
        )
    else:
        words = (
            "What was taken away alternates: the denoised image follows the noise "
            "more than this denoiser should, or edges were sharpened."
        )
    return Verdict(
        check="whiteness",
        level=level,
        sentence=f"{words} (Largest excess correlation {worst:+.3f}, at {lag:.1f} px.)",
        numbers={"largest_excess": worst, "lag_px": lag, "standard_error": error},
    )


def _lattice(measured: Measured) -> Verdict:
    spots = _spots(measured.denoised_power)
    if not spots:
        return Verdict(
            check="lattice",
            level="good",
            sentence="The denoised image shows no lattice, so none can be told to be "
            "missing.",
            numbers={"spots": 0},
        )
    # Of the nine frequencies that a windowed spot covers.
    residual, usual, noisy = (
        uniform_filter(image, 3, mode="wrap")
        for image in (measured.power, measured.expected_power, measured.noisy_power)
    )
    rows, columns = np.array(spots).T
    left = float(np.sum((residual - usual)[rows, columns]))
    whole = float(np.sum(np.maximum(noisy - 1, 0)[rows, columns]))
    # A mean of nine frequencies under a Hann window is worth about four free ones.
    error = math.sqrt(float(np.sum(usual[rows, columns] ** 2)) / 4)
    power_share = max(left, 0.0) / whole if whole > 0 else 0.0
    share = math.sqrt(min(1.0, power_share)) if left > 3 * error else 0.0
    level = _level(share, _LATTICE, 0.0)
    words = {
        "good": "The lattice is in the denoised image, not in what was taken away.",
        "doubtful": "A part of the lattice was taken away: its contrast is too low.",
        "bad": "Much of the lattice was taken away: its contrast is far too low.",
    }
    return Verdict(
        check="lattice",
        level=level,
        sentence=f"{words[level]} ({share:.0%} of its amplitude, {len(spots)} spots.)",
        numbers={
            "spots": len(spots),
            "amplitude_share": share,
            "excess_power": left,
            "standard_error": error,
        },
    )


def _spots(power: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Return the strongest spots of a spectrum, one of each pair."""
    height, width = power.shape
    row, column = np.meshgrid(
        np.arange(height) - height // 2, np.arange(width) - width // 2, indexing="ij"
    )
    # Rings in frequency, not in steps: the frame need not be square.
    radius = np.hypot(row / height, column / width)
    shorter = min(height, width)
    ring = np.minimum((radius * shorter).astype(int), shorter // 2)
    order = np.argsort(ring, axis=None, kind="stable")
    starts = np.flatnonzero(np.diff(ring.ravel()[order], prepend=-1))
    medians = np.zeros(int(ring.max()) + 1)
    for part in np.split(order, starts[1:]):
        medians[ring.ravel()[part[0]]] = np.median(power.ravel()[part])
    relative = power / np.maximum(medians[ring], np.finfo(np.float64).tiny)
    # A spot must also matter in the whole image, not only in an empty ring.
    strong = power > 1e-3 * float(power[ring >= _LOWEST].max(initial=0.0))
    peak = (power == maximum_filter(power, 5)) & (relative > _SPOT) & strong
    # Half of the plane; the axes too, where edges of the frame make a cross.
    peak &= (ring >= _LOWEST) & ((row > 0) | ((row == 0) & (column > 0)))
    found = np.argwhere(peak)
    strongest = np.argsort(power[peak])[::-1][:_MOST_SPOTS]
    return [(int(found[k][0]), int(found[k][1])) for k in strongest]
