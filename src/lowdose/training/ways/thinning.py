r"""Thinning: split counted electrons in two, and predict one part from the other.

Where counts n are Poisson of rate :math:`\lambda`, giving each electron to the first
part with probability p makes two independent Poisson images, a of rate
:math:`p\lambda` and b of rate :math:`(1-p)\lambda` [1]_. A network that sees a and is
compared with :math:`b\,p/(1-p)`, whose mean is :math:`p\lambda` whatever a was,
learns the mean of the rate given a, as from clean targets [2]_ [3]_: no blind spot, no
second frame, any dose, and every pixel is used.

The statistics, in the units that the network sees (counts over the noise of a at its
mean): the target has the noise variance :math:`p/(1-p)`. The loss weighs each example
by its inverse, as the likelihood of b does, so that splits of any share p can be mixed
in a batch. The share is drawn anew for each example. The network is told the dose of
a (the conditions of :mod:`lowdose.networks.normalising`), so that it learns how to
denoise at many doses up to nearly that of the data, and is used at the full one.

The measures that the network is told are those of the whole frame, as in use (see
:mod:`lowdose.training.frame_measures`).

References
----------
.. [1] J. F. C. Kingman, "Poisson Processes", Oxford 1993, section 5.1.
.. [2] J. Lehtinen et al., "Noise2Noise: Learning Image Restoration without Clean
   Data", ICML 2018. arXiv:1803.04189
.. [3] A. Krull, H. Basevi, B. Salmon et al., "Image Denoising and the Generative
   Accumulation of Photons", WACV 2024. arXiv:2307.06607; A. Dharamshi et al.,
   "Generalized data thinning using sufficient statistics", J. Am. Stat. Assoc. 2024,
   arXiv:2303.12931, on thinning in general.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from lowdose.errors import InvalidImageError, ParameterError
from lowdose.metrics import full_dose_error_terms
from lowdose.noise import thin
from lowdose.training import scores
from lowdose.training.assumptions import CORRELATED, counting, noise_correlation
from lowdose.training.examples import (
    VALIDATION,
    Apply,
    Example,
    Sample,
    Setting,
    turned,
)
from lowdose.training.frame_measures import (
    iter_measure,
    thinned_measures,
)
from lowdose.training.held_out import held_out_crops, hold_out, random_place
from lowdose.training.stacks import Stack, open_stack
from lowdose.training.tables import Table

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from numpy.random import Generator as Random
    from numpy.typing import NDArray

    from lowdose.denoiser import Measures
    from lowdose.progress import Progress

    Image = NDArray[np.float32]

#: Parts that the validation splits the electrons into; each is predicted from the
#: others.
_FOLDS = 4
#: Side of the crops in the validation at least, which are as large as those learnt
#: from: a network that sees whole crops is not to be judged on smaller ones [px].
_CROP, _CROPS = 128, 8
_ALL = slice(None)


class Config(Table):
    """The ``[data]`` table of ``way = "thinning"``.

    Parameters
    ----------
    stack : str or list of str
        Counted frames: a file, or several.
    gain : float, optional
        Counts per electron. By default the greatest common divisor of all counts,
        which is 1 for most counting cameras.
    offset : float
        Reading without electrons [counts].
    share_min, share_max : float
        Share p of the electrons that the network sees, drawn uniformly between
        these. Equal for a fixed share.
    """

    way: Literal["thinning"] = "thinning"
    stack: str | list[str]
    gain: float | None = Field(default=None, gt=0)
    offset: float = 0.0
    share_min: float = Field(default=0.4, gt=0, lt=1)
    share_max: float = Field(default=0.9, gt=0, lt=1)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.share_min > self.share_max:
            msg = (
                f"share_min={self.share_min} must be at most share_max="
                f"{self.share_max}."
            )
            raise ValueError(msg)
        return self


class Thinning:
    """Crops of counts, split anew each time (see :mod:`lowdose.training.examples`)."""

    assumes: ClassVar[str] = (
        "The counts are single electrons: whole numbers with Poisson noise, each "
        "pixel on its own."
    )
    losses: ClassVar[tuple[str, ...]] = ("poisson", "mse")
    watched = "fidelity"

    def __init__(
        self, config: Config, setting: Setting, stack: Stack, measures: list[Measures]
    ) -> None:
        self._config, self._setting = config, setting
        self._stack, self._measures = stack, measures
        self.warnings = (*stack.warnings, *_doubts(stack.frames))
        self._parts = hold_out(stack, setting.patch)
        self._folds = self._split_for_validation()

    def example(self, rng: Random) -> Example:
        """Draw a crop and split its electrons."""
        config, setting = self._config, self._setting
        number, rows, columns = random_place(
            rng, self._stack, self._parts, setting.patch
        )
        counts = turned(self._window(number, rows, columns), int(rng.integers(8)))
        share = float(rng.uniform(config.share_min, config.share_max))
        seen = rng.binomial(counts, share)
        middle = setting.frames // 2
        hidden = counts[middle] - seen[middle]
        measures = thinned_measures(self._measures[number], share)
        odds = share / (1 - share)
        place = f"rows {rows.start}-{rows.stop}, columns {columns.start}-{columns.stop}"
        return Example(
            noisy=seen.astype(np.float32),
            measures=measures,
            target=(hidden * odds).astype(np.float32),
            weight=1 / odds,
            growth=measures["sigma"] / measures["mean"],
            name=f"{self._stack.names[number]}, {place}",
        )

    def validate(self, apply: Apply) -> dict[str, float]:
        """Score a network without the truth.

        The electrons held out are split in four, once and for all, and each part is
        predicted from the others; that tells the error at the full dose (see
        :func:`lowdose.metrics.full_dose_error_terms`). That of the noisy counts is
        their mean.
        """
        before, terms = [], []
        for counts, measures, folds in self._folds:
            middle = counts[len(counts) // 2]
            full = apply(counts[None], [measures])[0]
            share = 1 - 1 / _FOLDS
            thinner = thinned_measures(measures, share)
            rates = apply((counts - folds).astype(np.float32), [thinner for _ in folds])
            errors = [
                full_dose_error_terms(
                    middle, hidden[len(hidden) // 2], rate, p=share, full=full
                )
                for hidden, rate in zip(folds, rates, strict=True)
            ]
            terms.append(np.mean(errors, 0).ravel())
            before.append(middle.mean(dtype=np.float64))
        return scores.without_truth(float(np.mean(before)), np.concatenate(terms))

    def sample(self) -> Sample:
        """Return a whole frame, at its full dose."""
        number = self._parts.held[0]
        return Sample(
            noisy=self._window(number).astype(np.float32),
            measures=self._measures[number],
        )

    def _window(
        self, number: int, rows: slice = _ALL, columns: slice = _ALL
    ) -> NDArray[np.int64]:
        """Return a crop of a frame and its neighbours, shape (F, H, W), electrons."""
        near = self._stack.window(number, self._setting.frames)
        return np.stack([self._stack.frames[n][rows, columns] for n in near]).astype(
            np.int64
        )

    def _split_for_validation(self) -> list[tuple[Image, Measures, NDArray[np.int64]]]:
        """Return crops, their measures, and their electrons in four parts."""
        rng = np.random.default_rng([self._setting.seed, VALIDATION])
        split = []
        for number, rows, columns in held_out_crops(
            self._stack,
            self._parts,
            size=max(_CROP, self._setting.patch),
            most=_CROPS,
        ):
            counts = self._window(number, rows, columns)
            parts = rng.multinomial(counts, [1 / _FOLDS] * _FOLDS)
            folds = np.moveaxis(parts, -1, 0)
            split.append((counts.astype(np.float32), self._measures[number], folds))
        return split


def iter_open(config: Config, setting: Setting) -> Generator[Progress, None, Thinning]:
    """Open a stack of counts (see :func:`lowdose.training.ways.iter_open`)."""
    if setting.normalisation != "mean-and-noise":
        msg = (
            f"way='thinning' cannot learn with network.normalisation="
            f"{setting.normalisation!r}: what a share of the electrons makes of the "
            "input follows from their statistics for 'mean-and-noise' alone."
        )
        raise ParameterError(msg)
    stack = open_stack(
        config.stack, patch=setting.patch, frames=setting.frames, given=setting.given
    )
    gain = config.gain if config.gain is not None else counting(stack.frames).gain
    stack = _counted(stack, gain, config.offset)
    plain = gain == 1 and config.offset == 0
    measures = yield from iter_measure(stack.frames, counted=plain)
    return Thinning(config, setting, stack, measures)


def _counted(stack: Stack, gain: float, offset: float) -> Stack:
    """Return the stack in electrons, whole numbers in float32."""
    nobody = np.random.default_rng(0)
    electrons = []
    for frame, name in zip(stack.frames, stack.names, strict=True):
        try:
            _, rest = thin(frame, 0.0, nobody, gain=gain, offset=offset)
        except InvalidImageError as error:
            msg = (
                f"{name}: {error} For other data use way='blind-spot', or "
                "'noise2noise' for frames of one place."
            )
            raise InvalidImageError(msg) from error
        electrons.append(np.rint((rest - offset) / gain).astype(np.float32))
    return replace(stack, frames=electrons)


def _doubts(frames: Sequence[Image]) -> list[str]:
    doubts = []
    if not counting(frames).poisson:
        doubts.append(
            "Thinning assumes Poisson noise, but the variance of the fine detail is "
            "not that of its mean. If the frames are sums of weighted, gain-corrected "
            "or rescaled ones, set data.gain, or learn by way='blind-spot'; strong "
            "structure as fine as a pixel looks the same, and is no harm."
        )
    rows, columns = noise_correlation(frames)
    if max(rows, columns) > CORRELATED:
        doubts.append(
            "Thinning assumes that each electron falls into one pixel, but the "
            f"noise of neighbouring pixels is correlated ({rows:.2f} along rows, "
            f"{columns:.2f} along columns, specimen included): what is correlated will "
            "be kept as if it was specimen."
        )
    return doubts
