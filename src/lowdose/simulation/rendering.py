"""What a preset makes of one specimen: its images and what is known about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: One row of a table: JSON types by name of the column.
Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendering:
    """All images of one specimen.

    Parameters
    ----------
    images : ndarray, shape (K, H, W), float32
        Clean images.
    records : sequence of mapping, length K
        For each image its parameters: numbers, text, booleans or None.
    events : sequence of mapping, optional
        What happens in a movie, and when and where.
    """

    images: NDArray[np.float32]
    records: Sequence[Record]
    events: Sequence[Record] = ()


#: Renders specimen `number` of the set with `seed`; the path is a folder in which exit
#: waves may be kept, or None.
Render = Callable[[int, int, Path | None], Rendering]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A kind of data set.

    Parameters
    ----------
    name : str
        Its name on the command line.
    title : str
        A few words.
    summary : str
        What its images show.
    images_per_specimen : int
        Images that one specimen gives.
    counted : {"images", "movies"}
        What the size of a set is counted in. A movie is all images of a specimen.
    detector : str
        The detector of :data:`~lowdose.simulation.detectors.DETECTORS` that the images
        are meant for.
    vacuum : float
        Intensity of the vacuum in its images [e-/px at a dose of 1].
    units : mapping
        Unit of each parameter that has one.
    options : mapping
        What it was given beside the seed, as JSON types.
    render : callable
        Makes the images of a specimen. Everything in them depends on the seed and the
        number of the specimen alone. It is sent to other processes, so it must be a
        function of a module, or a :func:`functools.partial` of one.
    """

    name: str
    title: str
    summary: str
    images_per_specimen: int
    counted: Literal["images", "movies"] = "images"
    detector: str
    vacuum: float = 1.0
    units: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    render: Render

    def images(self, count: int) -> int:
        """Return how many images a set of `count` has."""
        return count if self.counted == "images" else count * self.images_per_specimen

    def specimens(self, count: int) -> int:
        """Return how many specimens a set of `count` needs."""
        return -(-self.images(count) // self.images_per_specimen)


def specimen_rng(seed: int, number: int) -> tuple[np.random.Generator, int]:
    """Return the source of everything random about one specimen, and its own seed.

    Parameters
    ----------
    seed : int
        Seed of the set, at least 0.
    number : int
        Number of the specimen.

    Returns
    -------
    rng : Generator
        Depends on both numbers alone, whoever renders the specimen and when.
    specimen_seed : int
        For functions that take a seed, below 2**32.
    """
    sequence = np.random.SeedSequence([seed, number])
    own, drawn = sequence.spawn(2)
    return np.random.default_rng(drawn), int(own.generate_state(1)[0])
