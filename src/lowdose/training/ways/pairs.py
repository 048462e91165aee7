"""Pairs: noisy images, each with a clean one of exactly the same place.

As em_denoise learns, whose HDF5 files are read as they are; its network sees counts
without any normalisation (``network.normalisation = "counts"``).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, Self

import numpy as np
from pydantic import Field, model_validator

from lowdose import io
from lowdose.errors import InvalidImageError
from lowdose.simulation.layouts import open_pairs
from lowdose.training import scores
from lowdose.training.examples import (
    Apply,
    Example,
    Sample,
    Setting,
    corner,
    measured,
    turned,
)
from lowdose.training.kept import Kept
from lowdose.training.stacks import check_size, checked
from lowdose.training.tables import Table

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.random import Generator as Random
    from numpy.typing import NDArray

    from lowdose.denoiser import Measures
    from lowdose.micrograph import Micrograph
    from lowdose.progress import Progress

    Image = NDArray[np.float32]

#: Pairs that are validated at most, and their side [px].
_VALIDATED, _SIZE = 32, 256


class Config(Table):
    """The ``[data]`` table of ``way = "pairs"``.

    Parameters
    ----------
    noisy, clean : str or list of str
        Files of the same shapes, in the same order; stacks are paired frame by frame.
    folder : str
        Instead of them a folder of em_denoise, with ``graphene_img_noise.h5`` and
        ``graphene_img_clean.h5``.
    validation : float
        Share of the pairs, from the end, that is held out.
    """

    way: Literal["pairs"] = "pairs"
    noisy: str | list[str] = ""
    clean: str | list[str] = ""
    folder: str = ""
    validation: float = Field(default=0.1, gt=0, lt=1)

    @model_validator(mode="after")
    def _either(self) -> Self:
        files = bool(self.noisy) and bool(self.clean)
        if files == bool(self.folder) or bool(self.noisy) != bool(self.clean):
            msg = "give both noisy and clean, or a folder of em_denoise instead."
            raise ValueError(msg)
        return self


class Source(Protocol):
    """Pairs, read when they are asked for."""

    def __len__(self) -> int:
        """How many there are."""

    def __getitem__(self, number: int, /) -> tuple[Image, Image]:
        """Return noisy and clean, each of shape (H, W)."""


class Frames:
    """Pairs of frames of micrographs.

    Parameters
    ----------
    noisy, clean : list of Micrograph
        Of the same shapes.
    """

    def __init__(self, noisy: list[Micrograph], clean: list[Micrograph]) -> None:
        self._noisy, self._clean = noisy, clean
        self._places = [
            (file, frame)
            for file, micrograph in enumerate(noisy)
            for frame in range(micrograph.n_frames)
        ]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, number: int) -> tuple[Image, Image]:
        file, frame = self._places[number]
        noisy, clean = (stacks[file] for stacks in (self._noisy, self._clean))
        image, _ = checked(noisy.frame(frame), f"{noisy.name}, frame {frame}")
        truth = np.asarray(clean.frame(frame), np.float32)
        if not np.isfinite(truth).all():
            msg = (
                f"{clean.name}, frame {frame} has pixels that are NaN or Inf. Replace "
                "them, or leave out the frame in both files."
            )
            raise InvalidImageError(msg)
        return image, truth


class Pairs:
    """Crops of pairs (see :class:`lowdose.training.examples.Way`)."""

    assumes: ClassVar[str] = (
        "The clean image shows exactly the place of the noisy one, and its noise is "
        "negligible."
    )
    losses: ClassVar[tuple[str, ...]] = ("mse", "rmse", "huber")
    watched = "psnr_dB"

    def __init__(self, config: Config, setting: Setting, source: Source) -> None:
        self._setting = setting
        self._pairs = Kept(
            lambda number: self._measured(source[number]),
            lambda pair: pair[0].nbytes + pair[1].nbytes,
        )
        held = min(len(source) - 1, max(1, round(config.validation * len(source))))
        self._learnt = len(source) - held
        self._sets = self._validation_set(len(source))
        self.warnings = self._doubts()

    def example(self, rng: Random) -> Example:
        """Draw a crop of a pair."""
        number = int(rng.integers(self._learnt))
        noisy, clean, measures = self._pairs[number]
        patch = self._setting.patch
        top, left = corner(rng, noisy.shape, patch)
        cut = slice(top, top + patch), slice(left, left + patch)
        element = int(rng.integers(8))
        crop = turned(noisy[cut], element)
        return Example(
            noisy=crop[None],
            measures=measures,
            target=turned(clean[cut], element),
            name=f"pair {number}, rows {top}-{top + patch}, columns {left}-",
        )

    def validate(self, apply: Apply) -> dict[str, float]:
        """Return scores with the truth, means over the pairs held out."""
        every = [
            scores.with_truth(apply(n[None, None], [m]), c[None], n[None])
            for n, c, m in self._sets
        ]
        return scores.averaged(every)

    def sample(self) -> Sample:
        """Return a pair that was held out."""
        noisy, clean, measures = self._pairs[self._learnt]
        return Sample(noisy=noisy[None], measures=measures, clean=clean)

    def _measured(self, pair: tuple[Image, Image]) -> tuple[Image, Image, Measures]:
        """Add to a pair the measures of the whole noisy image, as in use."""
        return *pair, measured(pair[0], self._setting.normalisation)

    def _validation_set(self, count: int) -> list[tuple[Image, Image, Measures]]:
        held = np.linspace(self._learnt, count - 1, _VALIDATED)
        chosen = []
        for number in np.unique(held.astype(int)):
            noisy, clean, measures = self._pairs[int(number)]
            chosen.append((noisy[:_SIZE, :_SIZE], clean[:_SIZE, :_SIZE], measures))
        return chosen

    def _doubts(self) -> tuple[str, ...]:
        """Compare the means of a few pairs: they must not differ by much."""
        gains = []
        for noisy, clean, _ in self._sets:
            design = np.stack([clean.ravel(), np.ones(clean.size, np.float32)], 1)
            slope = np.linalg.lstsq(design.astype(np.float64), noisy.ravel())[0][0]
            gains.append(float(slope))
        slope = float(np.median(gains))
        if 0.8 <= slope <= 1.25:
            return ()
        return (
            f"The noisy images are {slope:.2f} times as bright as the clean ones, or "
            "do not show the same place: check the order of the files, their units, "
            "and that none is shifted against the other.",
        )


def iter_open(config: Config, setting: Setting) -> Generator[Progress, None, Pairs]:
    """Open pairs (see :func:`lowdose.training.ways.iter_open`)."""
    yield from ()
    setting.refuse_frames("pairs")
    if config.folder:
        pairs = open_pairs(config.folder)
        if len(pairs) < 2:
            raise InvalidImageError(_TOO_FEW.format(len(pairs)))
        if min(pairs[0][0].shape) < setting.patch:
            msg = (
                f"The images in {config.folder} have {pairs[0][0].shape} px, less than "
                f"training.patch={setting.patch}. Use a smaller patch."
            )
            raise InvalidImageError(msg)
        return Pairs(config, setting, pairs)
    noisy, clean = (
        _read(getattr(config, key), key, setting) for key in ("noisy", "clean")
    )
    if len(noisy) != len(clean):
        msg = (
            f"data.noisy has {len(noisy)} files, data.clean {len(clean)}. Give a clean "
            "file for each noisy one."
        )
        raise InvalidImageError(msg)
    for one, other in zip(noisy, clean, strict=True):
        if one.shape != other.shape:
            msg = (
                f"{one.name} has shape {one.shape}, but {other.name} has shape "
                f"{other.shape}. The clean image must be of the same pixels; crop or "
                "bin one of them."
            )
            raise InvalidImageError(msg)
        check_size(one, setting.patch)
    source = Frames(noisy, clean)
    if len(source) < 2:
        raise InvalidImageError(_TOO_FEW.format(len(source)))
    return Pairs(config, setting, source)


_TOO_FEW = (
    "There is {} pair; two are needed at least, one to learn from and one to validate. "
    "Cut the image in two, or learn from the noisy one alone."
)


def _read(sources: str | list[str], key: str, setting: Setting) -> list[Micrograph]:
    if key in setting.given:
        micrograph = setting.given[key]
        return [micrograph if micrograph.name else micrograph.replace(name=key)]
    files = [sources] if isinstance(sources, str) else sources
    found = []
    for file in files:
        micrograph = io.read(Path(file))
        found.append(micrograph.replace(name=Path(file).name))
    return found
