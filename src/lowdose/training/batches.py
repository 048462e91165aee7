"""Examples as a network sees them: normalised, stacked, with what it is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lowdose.networks.normalising import column, constants

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lowdose.denoiser import Measures
    from lowdose.training.examples import Example

    Image = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Examples as the network sees them, all float32.

    Parameters
    ----------
    seen : ndarray, shape (N, F + conditions, S, S)
        Normalised frames and the constants.
    target : ndarray, shape (N, 1, S, S)
        Targets, normalised as the frames are.
    weight : ndarray, shape (N, 1, S, S) or (N, 1, 1, 1)
        Weights of the loss.
    growth : ndarray, shape (N, 1, 1, 1)
        By how much the variance of the noise grows with the normalised rate.
    names : tuple of str
        Where the examples come from.
    """

    seen: Image
    target: Image
    weight: Image
    growth: Image
    names: tuple[str, ...]


def collate(examples: Sequence[Example], conditions: int) -> Batch:
    """Normalise examples and stack them.

    Parameters
    ----------
    examples : sequence of Example
        Of one shape.
    conditions : int
        Number of constants that the network is told.

    Returns
    -------
    Batch
    """
    measures = [example.measures for example in examples]
    noisy = np.stack([example.noisy for example in examples])
    target = np.stack([example.target for example in examples])
    offset, scale = output_scale(measures)
    weights = [np.asarray(example.weight, np.float32) for example in examples]
    weight = np.stack([w if w.ndim else w[None, None] for w in weights])
    growth = np.array(
        [
            example.measures["growth"] if example.growth is None else example.growth
            for example in examples
        ],
        np.float32,
    )
    return Batch(
        seen=network_input(noisy, measures, conditions=conditions),
        target=((target - offset) / scale)[:, None].astype(np.float32),
        weight=weight[:, None],
        growth=growth[:, None, None, None],
        names=tuple(example.name for example in examples),
    )


def network_input(
    noisy: Image, measures: Sequence[Measures], *, conditions: int
) -> Image:
    """Return what a network sees of noisy frames.

    Parameters
    ----------
    noisy : ndarray, shape (N, F, H, W)
        Counts.
    measures : sequence of mapping, length N
        Of :func:`lowdose.networks.normalising.measure`.
    conditions : int
        Number of constant channels that the network takes.

    Returns
    -------
    ndarray, shape (N, F + conditions, H, W), float32
        The normalised frames and the constant channels.
    """
    mean, sigma = (column(measures, key)[:, None] for key in ("mean", "sigma"))
    z = np.asarray((noisy - mean) / sigma, np.float32)
    if not conditions:
        return z
    constant = constants(measures, conditions)[:, :, None, None]
    constant = np.broadcast_to(constant, (*constant.shape[:2], *noisy.shape[2:]))
    return np.concatenate([z, constant], 1, dtype=np.float32)


def output_scale(
    measures: Sequence[Measures],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return offset and scale of a network's output, each of shape (N, 1, 1).

    They are those of its input, but for networks whose output is scaled otherwise.
    """
    offset = [m.get("out_mean", m["mean"]) for m in measures]
    scale = [m.get("out_sigma", m["sigma"]) for m in measures]
    return (
        np.array(offset, np.float64)[:, None, None],
        np.array(scale, np.float64)[:, None, None],
    )
