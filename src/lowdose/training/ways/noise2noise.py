"""Noise2Noise: two noisy frames of the same place, one predicts the other [1]_.

Pairs are made of successive frames, or of sums of the even and of the odd ones of a
group, after the drift between them is taken out by whole pixels. Whatever differs
between the two by chance is noise, of any kind, also correlated between pixels.

References
----------
.. [1] J. Lehtinen et al., "Noise2Noise: Learning Image Restoration without Clean
   Data", ICML 2018. arXiv:1803.04189
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from lowdose.errors import InvalidImageError
from lowdose.progress import Clock, Progress
from lowdose.training import scores
from lowdose.training.examples import (
    Apply,
    Example,
    Sample,
    Setting,
    corner,
    turned,
)
from lowdose.training.registration import overlap, shift_between
from lowdose.training.stacks import Stack, open_stack
from lowdose.training.tables import Table
from lowdose.training.twins import (
    Twins,
    doubts_of_likeness,
    doubts_of_pair,
    make_twins,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from numpy.random import Generator as Random
    from numpy.typing import NDArray

    Image = NDArray[np.float32]

#: Share of the pairs that is held out, and side of their crops [px].
_HELD_OUT, _SIZE = 8, 256


class Config(Table):
    """The ``[data]`` table of ``way = "noise2noise"``.

    Parameters
    ----------
    stack : str or list of str
        Series of frames of an unmoving specimen.
    pairs : {"successive", "even-odd"}
        What predicts what: frames 0 and 1, 1 and 2, ...; or the sum of the even
        frames of a group that of the odd ones.
    group : int
        Frames in a group, for "even-odd"; 0 for all of a series.
    register_drift : bool
        Take out the drift between the two, in whole pixels.
    """

    way: Literal["noise2noise"] = "noise2noise"
    stack: str | list[str]
    pairs: Literal["successive", "even-odd"] = "successive"
    group: int = Field(default=0, ge=0)
    register_drift: bool = True


class Noise2Noise:
    """Crops of twins (see :class:`lowdose.training.examples.Way`)."""

    assumes: ClassVar[str] = (
        "The two frames show the same specimen at the same place, and their noise is "
        "independent and of mean zero."
    )
    losses: ClassVar[tuple[str, ...]] = ("mse",)
    watched = "fidelity"

    def __init__(
        self, setting: Setting, twins: Sequence[Twins], warnings: tuple[str, ...]
    ) -> None:
        self._setting, self._twins, self.warnings = setting, twins, warnings
        count = len(twins)
        self._held = range(count)
        self._learnt: Sequence[int] = range(count)
        if count >= _HELD_OUT:
            self._held = range(_HELD_OUT // 2, count, _HELD_OUT)
            # Neighbours share a frame with a pair held out, in successive pairs.
            near = {n + d for n in self._held for d in (-1, 0, 1)}
            self._learnt = [n for n in range(count) if n not in near]

    def example(self, rng: Random) -> Example:
        """Draw a crop of twins, and which of them is seen."""
        number = int(rng.choice(np.asarray(self._learnt)))
        twins = self._twins[number]
        seen = int(rng.integers(2))
        patch = self._setting.patch
        top, left = corner(rng, twins.images[0].shape, patch)
        cut = slice(top, top + patch), slice(left, left + patch)
        element = int(rng.integers(8))
        noisy, target = (
            turned(twins.images[which][cut], element) for which in (seen, 1 - seen)
        )
        return Example(
            noisy=noisy[None],
            measures=twins.measures[seen],
            target=target,
            name=f"{twins.name}, rows {top}-{top + patch}, columns {left}-",
        )

    def validate(self, apply: Apply) -> dict[str, float]:
        """Score a network without the truth.

        The mean square difference of twins a and b is twice the noise; that of the
        denoised a and b is the noise and the error, whose independent parts add up.
        """
        noise, terms = [], []
        for number in self._held:
            twins = self._twins[number]
            a, b = (_middle(image).astype(np.float64) for image in twins.images)
            for seen, other, measures in (
                (a, b, twins.measures[0]),
                (b, a, twins.measures[1]),
            ):
                rate = apply(seen[None, None].astype(np.float32), [measures])[0]
                differences = (a - b) ** 2 / 2
                power = measures["sigma"] ** 2
                terms.append((((rate - other) ** 2 - differences) / power).ravel())
                noise.append(differences.mean() / power)
        return scores.without_truth(float(np.mean(noise)), np.concatenate(terms))

    def sample(self) -> Sample:
        """Return one of the twins."""
        twins = self._twins[self._held[0]]
        return Sample(noisy=twins.images[0][None], measures=twins.measures[0])


def iter_open(
    config: Config, setting: Setting
) -> Generator[Progress, None, Noise2Noise]:
    """Open series and pair their frames (see :func:`lowdose.training.ways.iter_open`).

    Raises
    ------
    InvalidImageError
        If a series has one frame, or its frames drift so far that no crop is left.
    """
    setting.refuse_frames("noise2noise")
    stack = open_stack(config.stack, patch=setting.patch, given=setting.given)
    pairs = _pairs(stack, config)
    clock, twins, shifts, doubts = Clock(), [], [], list(stack.warnings)
    for number, (first, second, name) in enumerate(pairs, start=1):
        shift = shift_between(first, second) if config.register_drift else (0, 0)
        shifts.append(shift)
        a, b = overlap(first, second, shift)
        if min(a.shape) < setting.patch:
            msg = (
                f"{name}: the frames are shifted by {shift} px, and what both show, "
                f"{a.shape[0]} x {a.shape[1]} px, is less than a crop of "
                f"{setting.patch} px. If they do not show the same place, learn by "
                "way='thinning' or 'blind-spot'; if the drift is measured wrongly, set "
                "data.register_drift=false."
            )
            raise InvalidImageError(msg)
        doubts += doubts_of_pair(a, b, name)
        twins.append(make_twins(a, b, name, setting.normalisation))
        yield Progress(
            stage="register", done=number, total=len(pairs), seconds=clock.seconds
        )
    doubts += doubts_of_likeness(twins)
    largest = max((max(abs(y), abs(x)) for y, x in shifts), default=0)
    if largest:
        doubts.append(
            f"The frames drift by up to {largest} px from one to the next; this was "
            "taken out in whole pixels, and what is left blurs the result a little."
        )
    return Noise2Noise(setting, twins, _first_of_each(doubts))


def _pairs(stack: Stack, config: Config) -> list[tuple[Image, Image, str]]:
    pairs = []
    for series in sorted(set(stack.series)):
        numbers = [n for n, s in enumerate(stack.series) if s == series]
        if len(numbers) < 2:
            msg = (
                f"{stack.names[numbers[0]]} is the only frame of its file; Noise2Noise "
                "needs two at least. Learn by way='thinning' where electrons are "
                "counted, or by way='blind-spot'."
            )
            raise InvalidImageError(msg)
        if config.pairs == "successive":
            pairs += [
                (stack.frames[a], stack.frames[b], f"{stack.names[a]} and {b}")
                for a, b in itertools.pairwise(numbers)
            ]
            continue
        size = config.group or len(numbers)
        if not 2 <= size <= len(numbers):
            msg = (
                f"data.group={size} must lie between 2 and the {len(numbers)} frames "
                "of a series."
            )
            raise InvalidImageError(msg)
        for start in range(0, len(numbers) - size + 1, size):
            # As many odd ones as even ones, so that their doses are the same.
            group = numbers[start : start + size // 2 * 2]
            even, odd = (
                np.asarray(sum(stack.frames[n] for n in group[part::2]), np.float32)
                for part in (0, 1)
            )
            pairs.append((even, odd, f"frames {group[0]} to {group[-1]}, even and odd"))
    return pairs


def _first_of_each(doubts: list[str]) -> tuple[str, ...]:
    """Keep a few: a thousand pairs would say the same a thousand times."""
    if len(doubts) <= 4:
        return tuple(doubts)
    return (*doubts[:3], f"... and {len(doubts) - 4} more of this kind.", doubts[-1])


def _middle(image: Image) -> Image:
    rows, columns = (
        slice(max(0, (n - _SIZE) // 2), max(0, (n - _SIZE) // 2) + _SIZE)
        for n in image.shape
    )
    return image[rows, columns]
