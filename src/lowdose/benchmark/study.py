"""What a protocol gives the runner: items, scenes, scores and a report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from lowdose.benchmark.found import Found
    from lowdose.benchmark.methods import Method
    from lowdose.benchmark.report import Report
    from lowdose.filters.tuning import Score
    from lowdose.micrograph import Micrograph

Image = NDArray[np.float32]
#: Returns the denoised counts of a micrograph, of its shape.
Denoise = Callable[["Micrograph"], Image]


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One noisy image or movie that every method denoises.

    Parameters
    ----------
    key : str
        Its name, always the same for the same item.
    source : int
        Number of the clean image in its pool.
    level : str
        What filters are tuned for, such as the dose.
    record : mapping
        What is known about it, JSON types; goes into its rows.
    dose : float, optional
        Dose of the exposure, in the units of the protocol.
    pictured : bool, optional
        Whether its images are shown in the report.
    """

    key: str
    source: int
    level: str
    record: Mapping[str, Any]
    dose: float = 1.0
    pictured: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A noisy image and its truth.

    Parameters
    ----------
    counts : Micrograph, shape (H, W) or (T, H, W), float32
        Detector counts, with their pixel size.
    truth : ndarray, the same shape
        What is expected, in the same counts.
    unit : float, optional
        Counts that 1 in the units of the errors stands for, where filters are tuned
        for the squared error; their logarithm has no unit.
    more : mapping, optional
        What else the protocol needs to score it.
    """

    counts: Micrograph
    truth: Image
    unit: float = 1.0
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What was found about one method on one item.

    Parameters
    ----------
    rows : sequence of mapping
        One or more rows of JSON types.
    pictures : mapping, optional
        Images to keep for the report.
    sums : mapping, optional
        Arrays that are added up over all items.
    """

    rows: Sequence[Mapping[str, Any]]
    pictures: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    sums: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)


class Study(Protocol):
    """A protocol with its images and options. It goes to other processes."""

    @property
    def name(self) -> str:
        """Name of the protocol."""

    @property
    def tuned_for(self) -> Score:
        """What filters are tuned for: the score that the tables are about."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """Everything that results depend on beside the denoisers, as JSON types."""

    @property
    def items(self) -> Sequence[Item]:
        """What is denoised. With a higher count the first ones are the same."""

    def scene(self, item: Item) -> Scene:
        """Return the noisy image of an item, always the same."""

    def score(
        self, item: Item, scene: Scene, denoise: Denoise, method: Method
    ) -> Scores:
        """Denoise the scene, and whatever else is asked of the method; score it."""

    def tuning_scenes(self, level: str) -> Sequence[Scene]:
        """Return scenes that are no item's, to tune a filter on."""

    def report(self, found: Found) -> Report:
        """Return the tables and pictures."""
