"""What is inspected, and what one check of it finds."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lowdose.progress import Progress, ShouldStop

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from lowdose.denoiser import Denoiser
    from lowdose.inference import DenoiseOptions
    from lowdose.micrograph import Micrograph
    from lowdose.noise import NoiseModel
    from lowdose.trust.evidence_result import ColumnEvidence
    from lowdose.trust.maps import TrustMap
    from lowdose.trust.residual_verdicts import Verdict


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Subject:
    """What is inspected.

    Parameters
    ----------
    noisy, denoised : Micrograph, shape (H, W)
        Counts of one frame, as recorded and denoised; checked to belong together.
    denoiser : Denoiser or None
        What denoised it, where it is known and can be run on one frame.
    noise : NoiseModel or None
        Noise of the detector, where it was given.
    counted : bool
        Whether the counts are whole electrons, which can be split.
    vacuum : ndarray, shape (H, W), bool, or None
        The region without specimen, where it was drawn.
    truth : Micrograph or None
        Expected counts, where they are known.
    diameter_nm : float or None
        Diameter of the disks in which counts are compared with the image [nm], where
        it was chosen.
    repeats : int
        How often a map may draw new noise.
    seed : int
        Seed of all that is random.
    options : DenoiseOptions
        Where and in what pieces to denoise.
    """

    noisy: Micrograph
    denoised: Micrograph
    denoiser: Denoiser | None
    noise: NoiseModel | None
    counted: bool
    vacuum: NDArray[np.bool_] | None
    truth: Micrograph | None
    diameter_nm: float | None
    repeats: int
    seed: int
    options: DenoiseOptions

    @property
    def splitter(self) -> Denoiser | None:
        """The denoiser, where it can be given a part of the electrons."""
        return self.denoiser if self.counted else None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Finding:
    """What one maker found.

    Parameters
    ----------
    maps : tuple of TrustMap
        Its maps.
    verdicts : tuple of Verdict
        Its sentences.
    numbers : mapping
        Its numbers beside those of the maps, as JSON types.
    evidence : ColumnEvidence or None
        The atomic columns, where they were tested.
    """

    maps: tuple[TrustMap, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    numbers: Mapping[str, Any] = field(default_factory=dict)
    evidence: ColumnEvidence | None = None


Make = Callable[[Subject, ShouldStop], Generator[Progress, None, Finding]]


@dataclass(frozen=True, slots=True, kw_only=True)
class MapMaker:
    """Something that makes maps of a denoised image.

    Parameters
    ----------
    name : str
        For the command line, such as ``"bootstrap"``.
    title : str
        For people.
    needs_denoiser : bool
        Whether it has to run the denoiser again.
    make : callable
        Takes a :class:`Subject` and a `should_stop`, yields
        :class:`~lowdose.progress.Progress` and returns a :class:`Finding`. It raises
        :class:`~lowdose.errors.InvalidImageError` where it cannot be made of these
        data; the other makers then go on.
    needs_truth : bool, optional
        Whether it compares with the truth, which is seldom known.
    """

    name: str
    title: str
    needs_denoiser: bool
    make: Make
    needs_truth: bool = False
