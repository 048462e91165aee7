"""Blind spot: predict each pixel of a noisy stack from those around it.

Noise2Void [1]_: a few pixels of each crop are filled with others from around them,
and the network is asked for what they were. It can only learn what neighbours tell,
which is the specimen, as long as the noise of a pixel is not told by its neighbours.
Where it is, as along the rows of a scan, these are hidden with it [2]_. Networks that
leave out the middle by their design, such as UDVD [3]_, see the whole crop instead.

References
----------
.. [1] A. Krull, T.-O. Buchholz, F. Jug, "Noise2Void - Learning Denoising from Single
   Noisy Images", CVPR 2019. arXiv:1811.10980
.. [2] C. Broaddus, A. Krull, M. Weigert, U. Schmidt, G. Myers, "Removing Structured
   Noise with Self-Supervised Blind-Spot Networks", ISBI 2020.
   doi:10.1109/ISBI45749.2020.9098336
.. [3] D. Y. Sheth et al., "Unsupervised Deep Video Denoising", ICCV 2021.
   arXiv:2011.15045
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from lowdose.training.assumptions import noise_correlation, spread
from lowdose.training.blinding import blind, blinded_offsets, choose_pixels
from lowdose.training.examples import (
    VALIDATION,
    Apply,
    Example,
    Sample,
    Setting,
    turned,
)
from lowdose.training.frame_measures import iter_measure
from lowdose.training.held_out import (
    held_out_crops,
    held_pixels,
    hold_out,
    random_place,
    whole_frames,
)
from lowdose.training.stacks import Stack, open_stack
from lowdose.training.tables import Table

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.random import Generator as Random
    from numpy.typing import NDArray

    from lowdose.denoiser import Measures
    from lowdose.progress import Progress

    Image = NDArray[np.float32]
    Mask = NDArray[np.bool_]
    Places = NDArray[np.intp]

#: Crops of the validation: their side at least [px], how many, and how often pixels of
#: each are hidden.
_CROP, _CROPS, _MASKS = 128, 16, 4
_ALL = slice(None)
#: Correlation of the noise of neighbours from which on they are hidden, too, beside
#: four standard errors of its estimate. What is not hidden is kept: of a correlation r
#: the network keeps noise of about 1.4 r of its level, as a weave of pixels.
_NOTICED, _ERRORS = 0.03, 4.0
#: Share of the pixels that is hidden at most, with all that is hidden with each.
_MOST_HIDDEN = 0.25
#: Symmetries of the square that leave rows rows.
_KEEP_ROWS = (0, 2, 4, 6)


class Config(Table):
    """The ``[data]`` table of ``way = "blind-spot"``.

    Parameters
    ----------
    stack : str or list of str
        Noisy images: a file, or several.
    blind : {"auto", "pixel", "neighbours", "row", "column"}
        What is hidden with each pixel. "auto" looks along which axis the noise is
        correlated.
    reach : int
        How far [px].
    share : float
        Share of the pixels that are asked for in each crop: by default one in 4 x 4,
        0.9 dB better after the same time than 0.02; fewer where
        more than a quarter would be hidden with them.
    """

    way: Literal["blind-spot"] = "blind-spot"
    stack: str | list[str]
    blind: Literal["auto", "pixel", "neighbours", "row", "column"] = "auto"
    reach: int = Field(default=2, ge=1, le=16)
    share: float = Field(default=0.06, gt=0, le=0.2)


class BlindSpot:
    """Crops with hidden pixels (see :class:`lowdose.training.examples.Way`)."""

    assumes: ClassVar[str] = (
        "The noise has the mean zero, and that of a pixel is not told by the pixels "
        "that are not hidden with it; the specimen is."
    )
    losses: ClassVar[tuple[str, ...]] = ("mse",)
    watched = "blind_dB"

    def __init__(
        self, config: Config, setting: Setting, stack: Stack, measures: list[Measures]
    ) -> None:
        self._config, self._setting, self._stack = config, setting, stack
        correlation = noise_correlation(stack.frames)
        self._noticed = _noticed(stack)
        self.shape = (
            _shape_for(*correlation, least=self._noticed)
            if config.blind == "auto"
            else config.blind
        )
        self.warnings = (*stack.warnings, *self._doubts(correlation))
        self._hidden = blinded_offsets(self.shape, config.reach)
        self._share = min(config.share, _MOST_HIDDEN / len(self._hidden))
        self._measures = measures
        self._parts = hold_out(stack, setting.patch)
        self._held: list[Mask] | None = None
        if self._parts.learnt == self._parts.held:
            # So few frames that each is needed whole: pixels are held out instead, and
            # the network is judged all over the frames that it is for.
            self._parts = whole_frames(stack)
            self._held = held_pixels(stack, seed=setting.seed)
        self._asked = self._ask_for_validation()

    def example(self, rng: Random) -> Example:
        """Draw a crop and hide some of its pixels."""
        setting = self._setting
        number, rows, columns = random_place(
            rng, self._stack, self._parts, setting.patch
        )
        directed = self.shape in ("row", "column")
        element = int(rng.choice(_KEEP_ROWS) if directed else rng.integers(8))
        crop = turned(self._window(number, rows, columns), element)
        middle = setting.frames // 2
        target = crop[middle].copy()
        weight: Image | float = 1.0
        if not setting.blind:
            asked = choose_pixels(rng, crop.shape[1:], self._share)
            crop, weight = self._hide(crop, asked, rng)
        if self._held is not None:
            weight = weight * ~turned(self._held[number][rows, columns], element)
        place = f"rows {rows.start}-{rows.stop}, columns {columns.start}-{columns.stop}"
        return Example(
            noisy=crop,
            measures=self._measures[number],
            target=target,
            weight=weight,
            name=f"{self._stack.names[number]}, {place}",
        )

    def validate(self, apply: Apply) -> dict[str, float]:
        """Return the error at hidden pixels that were held out, against the noise.

        In decibels below the noise level that was measured on the frame: 0 dB means
        that all that is left is noise of that level. It includes the noise of the
        hidden pixels, so that a perfect network does not score infinitely well.
        """
        errors, weights = 0.0, 0.0
        for seen, target, weight, measures in self._asked:
            rate = apply(seen[None], [measures])[0].astype(np.float64)
            z = (rate - target) / measures["sigma"]
            errors += float((weight * z**2).sum())
            weights += float(np.sum(weight * np.ones_like(z)))
        return {"blind_dB": -10 * float(np.log10(max(errors / weights, 1e-12)))}

    def sample(self) -> Sample:
        """Return a whole frame."""
        number = self._parts.held[0]
        return Sample(noisy=self._window(number), measures=self._measures[number])

    def _window(self, number: int, rows: slice = _ALL, columns: slice = _ALL) -> Image:
        near = self._stack.window(number, self._setting.frames)
        return np.stack([self._stack.frames[n][rows, columns] for n in near])

    def _hide(
        self, crop: Image, asked: tuple[Places, Places], rng: Random
    ) -> tuple[Image, Image]:
        """Return a crop with hidden pixels, and weights that ask for them."""
        middle = len(crop) // 2
        rows, columns = asked
        crop = crop.copy()
        crop[middle] = blind(crop[middle], rows, columns, rng, hidden=self._hidden)
        weight = np.zeros(crop.shape[1:], np.float32)
        weight[rows, columns] = weight.size / max(1, rows.size)
        return crop, weight

    def _ask_for_validation(
        self,
    ) -> list[tuple[Image, Image, Image | float, Measures]]:
        rng = np.random.default_rng([self._setting.seed, VALIDATION])
        asked: list[tuple[Image, Image, Image | float, Measures]] = []
        size = max(_CROP, self._setting.patch)
        places = held_out_crops(self._stack, self._parts, size=size, most=_CROPS)
        for number, rows, columns in places:
            crop = self._window(number, rows, columns)
            target, measures = crop[len(crop) // 2], self._measures[number]
            held = None if self._held is None else self._held[number][rows, columns]
            if self._setting.blind:
                weight: Image | float = 1.0
                if held is not None:
                    weight = held.astype(np.float32)
                asked.append((crop, target, weight, measures))
                continue
            for pixels in self._choose_for_validation(crop.shape[1:], held, rng):
                seen, weight = self._hide(crop, pixels, rng)
                asked.append((seen, target, weight, measures))
        return asked

    def _choose_for_validation(
        self, shape: tuple[int, int], held: Mask | None, rng: Random
    ) -> list[tuple[Places, Places]]:
        """Return which pixels of a crop are asked for, a few at a time."""
        share = self._share
        if held is None:
            return [choose_pixels(rng, shape, share) for _ in range(_MASKS)]
        # As thinly as while it learns, or more so.
        parts = max(_MASKS, math.ceil(float(held.mean()) / share))
        order = rng.permutation(np.flatnonzero(held))
        width = shape[1]
        return [
            (part // width, part % width)
            for part in np.array_split(order, parts)
            if part.size
        ]

    def _doubts(self, correlation: tuple[float, float]) -> list[str]:
        rows, columns = correlation
        words = f"({rows:.2f} along rows, {columns:.2f} along columns)"
        seen = {
            "pixel": (rows, columns),
            "row": (columns,),
            "column": (rows,),
            "neighbours": (),
        }[self.shape]
        if self._setting.blind and max(rows, columns) > self._noticed:
            return [
                f"The noise of neighbouring pixels is correlated {words}, and this "
                "network hides none but the pixel itself: what is correlated will be "
                "kept. Use another network, with data.blind."
            ]
        if seen and max(seen) > self._noticed:
            return [
                f"Neighbouring pixels are correlated {words}, also where only noise "
                f"is expected, but data.blind={self.shape!r}: what is correlated will "
                "be kept as if it was specimen. Use data.blind='auto'."
            ]
        if self._config.blind == "auto" and self.shape != "pixel":
            return [
                f"Neighbouring pixels are correlated {words}, also where only noise "
                f"is expected: data.blind={self.shape!r} is used, which costs fine "
                "detail. If that is fine structure of the specimen, set "
                "data.blind='pixel'."
            ]
        return []


def iter_open(config: Config, setting: Setting) -> Generator[Progress, None, BlindSpot]:
    """Open a noisy stack (see :func:`lowdose.training.ways.iter_open`)."""
    stack = open_stack(
        config.stack, patch=setting.patch, frames=setting.frames, given=setting.given
    )
    measures = yield from iter_measure(
        stack.frames, normalisation=setting.normalisation
    )
    return BlindSpot(config, setting, stack, measures)


def _noticed(stack: Stack) -> float:
    """Return from which correlation on it is noticed on these frames."""
    pixels = sum(frame.size for frame in spread(stack.frames))
    return _NOTICED + _ERRORS / math.sqrt(pixels)


def _shape_for(
    rows: float, columns: float, *, least: float
) -> Literal["pixel", "neighbours", "row", "column"]:
    if rows > least and columns > least:
        return "neighbours"
    if rows > least:
        return "row"
    return "column" if columns > least else "pixel"
