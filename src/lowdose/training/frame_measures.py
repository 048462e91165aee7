r"""What a network is told of a frame, measured on the whole of it, as in use.

What thinning makes of it follows from the statistics, and need not be measured: of a
power P at some frequency, in electrons, of which the mean count :math:`\mu` is noise,
there is left :math:`p^2 (P - \mu) + p \mu` when a share p of the electrons is left.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lowdose.networks.normalising import (
    CONDITIONS,
    measure,
    normalised,
    told_growth,
    told_powers,
)
from lowdose.noise import NoiseModel, looks_like_counts
from lowdose.progress import Clock, Progress

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from numpy.typing import NDArray

    from lowdose.denoiser import Measures

    Image = NDArray[np.float32]

_POWERS = tuple(name for name in CONDITIONS if name.startswith("power"))


def iter_measure(
    frames: Sequence[Image],
    *,
    counted: bool = True,
    normalisation: str = "mean-and-noise",
) -> Generator[Progress, None, list[Measures]]:
    """Measure every frame of a stack; see :func:`measure_in_use`.

    Parameters
    ----------
    frames : sequence of ndarray, shape (H, W)
        Counts.
    counted : bool, optional
        See :func:`measure_in_use`.
    normalisation : str, optional
        Of the network (see :func:`lowdose.networks.normalising.normalised`).

    Yields
    ------
    Progress
        Stage "measure".

    Returns
    -------
    list of mapping
    """
    clock, found = Clock(), []
    for number, frame in enumerate(frames, start=1):
        measures = measure_in_use(frame, counted=counted)
        found.append(normalised(measures, frame, normalisation))
        yield Progress(
            stage="measure", done=number, total=len(frames), seconds=clock.seconds
        )
    return found


def measure_in_use(frame: Image, *, counted: bool = True) -> Measures:
    """Measure a whole frame as a network denoiser does.

    Parameters
    ----------
    frame : ndarray, shape (H, W)
        Counts.
    counted : bool, optional
        Whether the frame may be taken for electron counts of gain one, which it is
        where it looks like it (:func:`lowdose.noise.looks_like_counts`).

    Returns
    -------
    mapping of str to float
        Of :func:`lowdose.networks.normalising.measure`.
    """
    known = counted and looks_like_counts(frame)
    return measure(frame, NoiseModel() if known else None)


def thinned_measures(whole: Measures, share: float) -> Measures:
    """Return the measures of a frame of which a share of the electrons is left.

    Parameters
    ----------
    whole : mapping of str to float
        Measures of the frame, in electrons.
    share : float
        Of the electrons that are left.

    Returns
    -------
    mapping of str to float
        Their expectation; see the head of this module.
    """
    mean, variance = whole["mean"], whole["sigma"] ** 2
    known = whole["known"] > 0

    def left(power: float) -> float:
        return max(share**2 * (power - mean) + share * mean, 0.0)

    noise = share * mean if known else left(variance)
    sigma = math.sqrt(noise) if noise > 0 else 1.0
    left_over = np.array([left(10 ** whole[name] * variance) for name in _POWERS])
    powers = dict(zip(_POWERS, told_powers(left_over / sigma**2).tolist(), strict=True))
    return {
        "mean": share * mean,
        "sigma": sigma,
        "known": whole["known"],
        "growth": told_growth(1 / sigma) if known else 0.0,
        **powers,
    }
