"""What every way to learn gives to the loop: examples, and scores of the network.

A way draws each example from a generator of random numbers of its own, made of the
seed, the step and the number of the example, so that a resumed training, and one on
several devices, see what an uninterrupted one on a single device would have seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, TypeVar

import numpy as np

from lowdose.errors import ParameterError
from lowdose.networks.normalising import measure, normalised
from lowdose.noise import NoiseModel, looks_like_counts

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.random import Generator
    from numpy.typing import NDArray

    from lowdose.denoiser import Measures
    from lowdose.micrograph import Micrograph

    Image = NDArray[np.float32]

D = TypeVar("D", bound=np.generic)

#: Keep the random numbers of the images, of the validation and of the steps apart
#: under one seed.
IMAGES, VALIDATION, STEPS = range(3)

#: A network as a function of frames, shape (N, F, H, W) [counts], and the measures of
#: each; returns denoised frames, shape (N, H, W) [counts].
Apply = Callable[["Image", Sequence["Measures"]], "Image"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a way must know of the training that it feeds.

    Parameters
    ----------
    seed : int
        Of the recipe.
    folder : Path
        Of the training; drawn images are kept there.
    patch : int
        Side of the crops [px].
    frames : int
        Successive frames that the network sees, the middle one to be denoised.
    blind : bool
        Whether the network leaves out the pixel that it restores, by its design.
    normalisation : str
        How counts become the input of the network.
    given : mapping of str to Micrograph
        Data in memory, instead of the files that the recipe names under that key.
    """

    seed: int
    folder: Path
    patch: int
    frames: int = 1
    blind: bool = False
    normalisation: str = "mean-and-noise"
    given: Mapping[str, Micrograph] = field(default_factory=dict)

    def refuse_frames(self, way: str) -> None:
        """Refuse networks that see neighbouring frames, where there are none.

        Raises
        ------
        ParameterError
            If the network sees more than one.
        """
        if self.frames > 1:
            msg = (
                f"The network sees {self.frames} frames, but way={way!r} has single "
                "images. Set the network's option frames=1, or learn by 'thinning' or "
                "'blind-spot'."
            )
            raise ParameterError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A noisy crop, and what the network should make of it.

    Parameters
    ----------
    noisy : ndarray, shape (F, S, S), float32
        What the network sees [counts].
    measures : mapping of str to float
        Of :func:`lowdose.networks.normalising.measure`.
    target : ndarray, shape (S, S), float32
        What it is compared with [counts], clean or not.
    weight : ndarray, shape (S, S), or float
        Weight of each pixel in the loss; 0 where nothing is asked.
    growth : float, optional
        By how much the variance of the noise grows with the normalised rate, for the
        loss. By default what the network is told.
    name : str
        Where it comes from, for messages.
    """

    noisy: Image
    measures: Measures
    target: Image
    weight: Image | float = 1.0
    growth: float | None = None
    name: str = ""


class Way(Protocol):
    """A way to learn, with its data."""

    #: What it assumes of the noise, in a sentence.
    assumes: ClassVar[str]
    #: Losses that are right for its targets; the first one is the default.
    losses: ClassVar[tuple[str, ...]]
    #: Which of the scores decides what is best; larger is better.
    watched: str

    @property
    def warnings(self) -> tuple[str, ...]:
        """Where an assumption fails on the data; a sentence each."""

    def example(self, rng: Generator) -> Example:
        """Draw an example."""

    def validate(self, apply: Apply) -> dict[str, float]:
        """Score a network on data that it never learns from, larger is better."""

    def sample(self) -> Sample:
        """Return a frame to look at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A frame to show beside what the network makes of it.

    Parameters
    ----------
    noisy : ndarray, shape (F, H, W), float32
        What the network sees [counts].
    measures : mapping
        Its measures.
    clean : ndarray, shape (H, W), or None
        The truth, where there is one [counts].
    """

    noisy: Image
    measures: Measures
    clean: Image | None = None


def measured(
    frame: Image,
    normalisation: str,
    noise: NoiseModel | Literal["auto"] | None = "auto",
) -> Measures:
    """Measure a frame as a network of a kind of normalisation does in use.

    Parameters
    ----------
    frame : ndarray, shape (H, W)
        Counts.
    normalisation : {"mean-and-noise", "min-max", "counts"}
        Of the network.
    noise : NoiseModel, None or "auto"
        The noise, or None where the network is not to be told. "auto" takes counts
        for what looks like it.

    Returns
    -------
    mapping of str to float
        Of :func:`lowdose.networks.normalising.measure`, with ``mean`` and ``sigma``
        such that ``(counts - mean) / sigma`` is what the network sees.
    """
    if noise == "auto":
        noise = NoiseModel() if looks_like_counts(frame) else None
    return normalised(measure(frame, noise), frame, normalisation)


def turned(images: NDArray[D], element: int) -> NDArray[D]:
    """Apply a symmetry of the square, 0 to 7, to the last two axes."""
    images = images[..., ::-1] if element >= 4 else images
    return np.ascontiguousarray(np.rot90(images, element % 4, (-2, -1)))


def corner(rng: Generator, shape: tuple[int, ...], patch: int) -> tuple[int, int]:
    """Draw the top left corner of a crop of an image of a shape (H, W)."""
    height, width = shape
    return (
        int(rng.integers(height - patch + 1)),
        int(rng.integers(width - patch + 1)),
    )
