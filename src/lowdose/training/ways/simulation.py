"""Simulation: clean images of a simulated set, with fresh counting noise each step.

As simulation-based denoising (SBD) learns [1]_: flips, magnification by 0.75 to 0.82,
rotation by up to 45 degrees, a crop, and Poisson noise of a dose that is a multiple of
that of the set. Unlike in its code, the magnification is the same along both axes.

A network that sees several frames is shown windows of them: of the movies of a set, or
of one still image that drifts (:mod:`lowdose.training.ways.windows`). All frames of a
window are changed alike, each has noise of its own, and the middle one is the target.

References
----------
.. [1] S. Mohan et al., "Deep Denoising for Scientific Discovery: A Case Study in
   Electron Microscopy", IEEE Trans. Comput. Imaging 8, 585 (2022).
   doi:10.1109/TCI.2022.3176536
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from lowdose.errors import ParameterError
from lowdose.training import scores
from lowdose.training.examples import (
    VALIDATION,
    Apply,
    Example,
    Sample,
    Setting,
    measured,
)
from lowdose.training.kept import Kept
from lowdose.training.tables import Table
from lowdose.training.ways.magnifying import Magnifier
from lowdose.training.ways.recording import Cameras, detected_mean, recorded
from lowdose.training.ways.resampling import Resampler
from lowdose.training.ways.simulated_sets import SAMPLE, SimulatedSet, open_sets
from lowdose.training.ways.windows import Windows, shows_movies
from lowdose.zoo.sampling import Sampling

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from numpy.random import Generator as Random
    from numpy.typing import NDArray

    from lowdose.denoiser import Measures
    from lowdose.progress import Progress

    Image = NDArray[np.float32]

#: Images that are validated at most, and their side [px].
_VALIDATED, _SIZE = 32, 256


class Config(Table):
    """The ``[data]`` table of ``way = "simulation"``.

    Parameters
    ----------
    dataset : str or list of str
        File that ``lowdose simulate`` made, or "sample" for the small one that comes
        with the package. Several, of still images and of movies, need `sampling`.
    shares : list of float
        How often an example is of each of several sets, one against the other; by
        default equally often.
    conditions : mapping
        Parameters that the images must have, such as ``{thickness = [3, 4]}``: a
        value, a range of numbers, or a list of texts.
    dose_min, dose_max : float
        Multiple of the dose of the set, drawn log-uniformly between these: 1 for its
        own, n for that of n frames summed (SBD's ``noise_scale``). Of several sets it
        is the dose of the first one, per area.
    scale_min, scale_max : float
        Magnification, drawn uniformly; both 1 for none.
    rotation : float
        Largest rotation either way [degrees].
    sampling : mapping, optional
        Pixel sizes to train at, with the keys of
        :meth:`lowdose.zoo.sampling.Sampling.from_table`; drawn log-uniformly. Counts
        are then those of whole pixels of that size, and the target is the image at
        their centres. It takes the place of magnification and rotation.
    vibration, contrast_min, contrast_max : float
        With `sampling`: largest standard deviation of a further vibration [nm], and
        range of a factor for the contrast against vacuum, so that images are broader
        than those of the set. The vacuum is that of the set: not for sets of dark-field
        images beside bright-field ones, which would become negative.
    drift, jitter : float
        With `sampling`, where the network sees several frames, of sets of still images:
        the fastest steady drift [nm per frame], and the largest random displacement
        of a frame either way along each axis [nm]. For each example they are drawn
        anew, from nothing to these. Movies move by themselves.
    typical : float
        Share of the examples at the dose of the set and the pixel size of `sampling`,
        within a factor of 2 and of 1.1 either way; the others are drawn from the whole
        ranges.
    detector : str
        Name of a detector of :mod:`lowdose.simulation.detectors` that records the
        electrons, or "own" for that which each image of the set is meant for; by
        default they are counted perfectly. Its dose is not drawn: the image is
        electrons per pixel already.
    detected : float
        Share of the examples that the detector records; the others, and half of the
        images that are validated if it is below 1, are counted perfectly.
    even : bool
        Where the detector has a beam profile: whether the target is lit evenly, so that
        the network is to undo the profile, or as the profile lights it.
    known : float
        Share of crops whose noise is told to the network, where it is counting noise.
    validation : float
        Share of the specimens that is held out: the same ones whatever the seed, so
        that a network that starts from another has not seen them either.
    """

    way: Literal["simulation"] = "simulation"
    dataset: str | list[str] = SAMPLE
    shares: list[float] = Field(default_factory=list)
    conditions: dict[str, Any] = Field(default_factory=dict)
    dose_min: float = Field(default=1.0, gt=0)
    dose_max: float = Field(default=1.0, gt=0)
    scale_min: float = Field(default=0.75, gt=0)
    scale_max: float = Field(default=0.82, gt=0)
    rotation: float = Field(default=45.0, ge=0, le=180)
    sampling: dict[str, float] | None = None
    vibration: float = Field(default=0.0, ge=0)
    contrast_min: float = Field(default=1.0, gt=0)
    contrast_max: float = Field(default=1.0, gt=0)
    drift: float = Field(default=0.0, ge=0)
    jitter: float = Field(default=0.0, ge=0)
    typical: float = Field(default=0.0, ge=0, le=1)
    detector: str = ""
    detected: float = Field(default=1.0, ge=0, le=1)
    even: bool = True
    known: float = Field(default=1.0, ge=0, le=1)
    validation: float = Field(default=0.1, gt=0, lt=1)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        for name in ("dose", "scale", "contrast"):
            low, high = f"{name}_min", f"{name}_max"
            if getattr(self, low) > getattr(self, high):
                msg = f"{low}={getattr(self, low)} must be at most {high}."
                raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _some_sets(self) -> Self:
        count = len(self.datasets)
        if not count:
            msg = "dataset=[] names no file. Give one at least."
            raise ValueError(msg)
        if count > 1 and self.sampling is None:
            msg = (
                f"{count} data sets need sampling, which brings them to the same pixel "
                "sizes. Give it, or name one set."
            )
            raise ValueError(msg)
        if self.shares and (len(self.shares) != count or min(self.shares) <= 0):
            msg = (
                f"shares={self.shares} must be a number above 0 for each of the "
                f"{count} in dataset."
            )
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _one_magnification(self) -> Self:
        if self.sampling is None:
            alone = {"vibration", "contrast_min", "contrast_max", "drift", "jitter"}
            if given := alone & self.model_fields_set:
                msg = f"{', '.join(sorted(given))} must come with sampling."
                raise ValueError(msg)
            return self
        both = {"scale_min", "scale_max", "rotation"} & self.model_fields_set
        if both:
            msg = (
                f"sampling and {', '.join(sorted(both))} cannot both be given: "
                "sampling draws the pixel size, and turns by quarters only."
            )
            raise ValueError(msg)
        try:
            Sampling.from_table(self.sampling)
        except ParameterError as error:
            raise ValueError(str(error)) from error
        return self

    @property
    def datasets(self) -> list[str]:
        """Names of the sets."""
        return [self.dataset] if isinstance(self.dataset, str) else list(self.dataset)


class Simulation:
    """Crops of simulated images (see :class:`lowdose.training.examples.Way`)."""

    assumes: ClassVar[str] = (
        "The specimen is like the simulated ones, and the noise is that of the "
        "simulated detector."
    )
    losses: ClassVar[tuple[str, ...]] = ("mse", "rmse", "huber", "poisson")
    watched = "psnr_dB"
    warnings: tuple[str, ...] = ()

    def __init__(
        self, config: Config, setting: Setting, sets: Sequence[SimulatedSet]
    ) -> None:
        self._config, self._setting = config, setting
        self._cameras = Cameras(
            config.detector, detected=config.detected, even=config.even
        )
        self._sources = [self._source(one) for one in sets]
        self._shares = [one.share for one in sets]
        self._sets = self._validation_set()

    def example(self, rng: Random) -> Example:
        """Draw, change and expose a crop, or one of each frame of a window."""
        source = self._sources[0]
        if len(self._sources) > 1:
            source = self._sources[rng.choice(len(self._sources), p=self._shares)]
        learnt = source.of.learnt
        number = int(rng.integers(len(learnt)))
        typical = rng.uniform() < self._config.typical
        window = source.windows.draw(number, rng)
        if source.resampler is not None:
            images, rates = source.resampler.window(
                window.numbers,
                rng,
                typical=typical,
                displacements=window.displacements,
            )
        else:
            images = rates = self._magnifier.crop(source.images[number], rng)[None]
        dose = self._dose(rng, typical=typical)
        camera = self._cameras.draw(learnt, number, rng)
        images, rates, camera = self._cameras.light(images, rates, camera, rng)
        noisy, middle, noise = recorded(
            rates * (dose * source.of.dose), window, camera, rng
        )
        told = rng.uniform() < self._config.known
        return Example(
            noisy=noisy,
            measures=measured(
                middle, self._setting.normalisation, noise if told else None
            ),
            target=detected_mean(
                images[window.middle] * (dose * source.of.dose), camera
            ),
            name=f"image {number} of {learnt.path.name}, dose x {dose:.3g}",
        )

    def validate(self, apply: Apply) -> dict[str, float]:
        """Return scores with the truth, means over images of specimens held out."""
        every = [
            scores.with_truth(apply(n[None], [m]), c[None], n[len(n) // 2][None])
            for n, c, m in self._sets
        ]
        return scores.averaged(every)

    def sample(self) -> Sample:
        """Return an image of a specimen held out."""
        noisy, clean, measures = self._sets[0]
        return Sample(noisy=noisy, measures=measures, clean=clean)

    def _source(self, one: SimulatedSet) -> _Source:
        """Return what draws the crops of a set."""
        config, setting = self._config, self._setting
        windows, held = (
            Windows(part, setting.frames, drift=config.drift, jitter=config.jitter)
            for part in (one.learnt, one.held)
        )
        resampler = None
        if config.sampling is not None:
            resampler = Resampler(
                one.learnt,
                Sampling.from_table(config.sampling),
                patch=setting.patch,
                vibration=config.vibration,
                contrast=(config.contrast_min, config.contrast_max),
                reach=windows.reach,
            )
        else:
            self._magnifier = Magnifier(
                one.learnt.frame_shape,
                setting.patch,
                scale=(config.scale_min, config.scale_max),
                rotation=config.rotation,
            )
        return _Source(
            of=one,
            # Decompressing an image takes as long as all that is done to a crop of it.
            images=Kept(one.learnt.__getitem__, lambda image: image.nbytes),
            windows=windows,
            held=held,
            resampler=resampler,
        )

    def _dose(self, rng: Random, *, typical: bool = False) -> float:
        low, high = self._config.dose_min, self._config.dose_max
        if typical:
            low, high = max(low, 0.5), min(high, 2.0)
        return math.exp(rng.uniform(math.log(low), math.log(high)))

    def _validation_set(self) -> list[tuple[Image, Image, Measures]]:
        """Return noisy frames, the clean middle one, and its measures."""
        return [
            self._validated(source, index, int(number))
            for index, source in enumerate(self._sources)
            for number in np.unique(
                np.linspace(
                    0,
                    len(source.of.held) - 1,
                    max(1, round(_VALIDATED * source.of.share)),
                ).astype(int)
            )
        ]

    def _validated(
        self, source: _Source, index: int, number: int
    ) -> tuple[Image, Image, Measures]:
        held, seed = source.of.held, [self._setting.seed, VALIDATION, number]
        rng = np.random.default_rng([*seed, index] if index else seed)
        window = source.held.draw(number, rng)
        if source.resampler is not None:
            clean, rates = source.resampler.whole_window(
                held, window.numbers, displacements=window.displacements
            )
        else:
            clean = rates = held[number][None, :_SIZE, :_SIZE]
        dose = self._dose(rng, typical=self._config.typical > 0) * source.of.dose
        share = 0.5 if 0 < self._config.detected < 1 else None
        camera = self._cameras.draw(held, number, rng, share=share)
        clean, rates, camera = self._cameras.light(clean, rates, camera, rng)
        noisy, middle, noise = recorded(rates * dose, window, camera, rng)
        told = noise if self._config.known > 0 else None
        measures = measured(middle, self._setting.normalisation, told)
        return noisy, detected_mean(clean[window.middle] * dose, camera), measures


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Source:
    """A set, its windows to learn from and those held out, and what crops it."""

    of: SimulatedSet
    images: Kept[Image]
    windows: Windows
    held: Windows
    resampler: Resampler | None


def iter_open(
    config: Config, setting: Setting
) -> Generator[Progress, None, Simulation]:
    """Open simulated sets (see :func:`lowdose.training.ways.iter_open`)."""
    yield from ()
    conditions = {
        key: tuple(value) if _is_range(value) else value
        for key, value in config.conditions.items()
    }
    moves = config.drift or config.jitter
    if setting.frames > 1 and config.sampling is None:
        msg = (
            f"The network sees {setting.frames} frames; way='simulation' then needs "
            "data.sampling. Give it, or set the network's option frames=1."
        )
        raise ParameterError(msg)
    if setting.frames == 1 and moves:
        msg = (
            "data.drift and data.jitter are between frames, but the network sees one. "
            "Set the network's option frames, or leave them out."
        )
        raise ParameterError(msg)
    sets = open_sets(
        config.datasets,
        shares=config.shares,
        conditions=conditions,
        validation=config.validation,
    )
    if moves and all(shows_movies(one.learnt) for one in sets):
        msg = (
            "data.drift and data.jitter are for still images, but each set has movies, "
            "which move by themselves. Leave them out."
        )
        raise ParameterError(msg)
    return Simulation(config, setting, sets)


def _is_range(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(v, int | float) for v in value)
    )
