"""High-dose micrographs: clean ones, made noisy, as Ede and Beanland learn [1]_.

Every constant is a field of :class:`Config` with the value of the paper and its code.
The steps, exactly: images are averaged over 2 x 2 pixels; a crop x of 512 px, turned by
one of the eight symmetries, is scaled to 0...1; s is drawn, 25 + Exp(75) for low doses,
U(200, 2500) for ordinary ones; y is Poisson of s x; the network sees y scaled to 0...1,
and its target is x times the ratio of the means of what it sees and of x. The loss
("huber") and the rest of the schedule are in ``[training]``.

References
----------
.. [1] J. M. Ede, R. Beanland, "Improving electron micrograph signal-to-noise with an
   atrous convolutional encoder-decoder", Ultramicroscopy 202, 18 (2019).
   doi:10.1016/j.ultramic.2019.03.017
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from lowdose import io
from lowdose.errors import InvalidImageError
from lowdose.noise import NoiseModel
from lowdose.progress import Clock, Progress
from lowdose.simulation.detector import unit_range
from lowdose.simulation.layouts import area_downsample, list_micrographs
from lowdose.training import scores
from lowdose.training.examples import (
    VALIDATION,
    Apply,
    Example,
    Sample,
    Setting,
    corner,
    measured,
    turned,
)
from lowdose.training.kept import Kept
from lowdose.training.tables import Table

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.random import Generator as Random
    from numpy.typing import NDArray

    from lowdose.denoiser import Measures

    Image = NDArray[np.float32]

#: Crops in the validation.
_VALIDATED = 8


class Config(Table):
    """The ``[data]`` table of ``way = "high-dose"``.

    Parameters
    ----------
    folder : str
        Folder of TIFFs of many counts per pixel.
    binning : int
        Pixels that are averaged into one along each axis.
    regime : {"low", "ordinary"}
        Which of the two distributions of the dose.
    low_least, low_mean : float
        Low doses: s is `low_least` plus an exponential of mean `low_mean`; s is the
        largest expected count of a crop [e-/px].
    ordinary_min, ordinary_max : float
        Ordinary doses: s is uniform between these [e-/px].
    least_counts : float
        Mean counts of an image below which its own noise is no longer small.
    validation : float
        Share of the images that is held out; of a single one a crop is.
    """

    way: Literal["high-dose"] = "high-dose"
    folder: str
    binning: int = Field(default=2, ge=1)
    regime: Literal["low", "ordinary"] = "low"
    low_least: float = Field(default=25.0, ge=0)
    low_mean: float = Field(default=75.0, gt=0)
    ordinary_min: float = Field(default=200.0, gt=0)
    ordinary_max: float = Field(default=2500.0, gt=0)
    least_counts: float = Field(default=2500.0, ge=0)
    validation: float = Field(default=0.1, gt=0, lt=1)


class HighDose:
    """Crops of clean micrographs (see :class:`lowdose.training.examples.Way`)."""

    assumes: ClassVar[str] = (
        "The micrographs are clean, and the noise to take out is counting noise."
    )
    losses: ClassVar[tuple[str, ...]] = ("huber", "mse", "rmse")
    watched = "psnr_dB"

    def __init__(
        self,
        config: Config,
        setting: Setting,
        images: Kept[Image],
        count: int,
        warnings: tuple[str, ...],
    ) -> None:
        self._config, self._setting, self.warnings = config, setting, warnings
        held = min(count - 1, max(1, round(config.validation * count)))
        self._images, self._count, self._learnt = images, count, count - held
        self._sets = self._validation_set()

    def example(self, rng: Random) -> Example:
        """Draw a crop and expose it."""
        number = int(rng.integers(self._learnt))
        noisy, target, dose = self._expose(self._images[number], rng)
        return Example(
            noisy=noisy[None],
            measures=self._measure(noisy),
            target=target,
            name=f"image {number}, largest count {dose:.4g}",
        )

    def validate(self, apply: Apply) -> dict[str, float]:
        """Return scores with the truth, means over crops of images held out."""
        every = [
            scores.with_truth(apply(n[None, None], [m]), c[None], n[None])
            for n, c, m in self._sets
        ]
        return scores.averaged(every)

    def sample(self) -> Sample:
        """Return a crop of an image held out."""
        noisy, clean, measures = self._sets[0]
        return Sample(noisy=noisy[None], measures=measures, clean=clean)

    def draw_dose(self, rng: Random) -> float:
        """Draw s, the largest expected count of a crop [e-/px]."""
        config = self._config
        if config.regime == "low":
            return config.low_least + float(rng.exponential(config.low_mean))
        return float(rng.uniform(config.ordinary_min, config.ordinary_max))

    def _expose(self, image: Image, rng: Random) -> tuple[Image, Image, float]:
        """Return noisy counts, the target in counts, and s."""
        patch = self._setting.patch
        top, left = corner(rng, image.shape, patch)
        crop = turned(
            image[top : top + patch, left : left + patch], int(rng.integers(8))
        )
        x = unit_range(crop)
        dose = self.draw_dose(rng)
        noisy = rng.poisson(dose * x).astype(np.float32)
        # In counts, so that any normalisation can be used: with "min-max" the target
        # of the network becomes that of the paper, x mean(input) / mean(x).
        target = x * (noisy.mean(dtype=np.float64) / max(x.mean(), 1e-12))
        return noisy, target.astype(np.float32), dose

    def _measure(self, noisy: Image) -> Measures:
        return measured(noisy, self._setting.normalisation, NoiseModel())

    def _validation_set(self) -> list[tuple[Image, Image, Measures]]:
        sets = []
        for number in range(_VALIDATED):
            rng = np.random.default_rng([self._setting.seed, VALIDATION, number])
            held = self._learnt + number % (self._count - self._learnt)
            image = self._images[held]
            noisy, target, _ = self._expose(image, rng)
            sets.append((noisy, target, self._measure(noisy)))
        return sets


def iter_open(config: Config, setting: Setting) -> Generator[Progress, None, HighDose]:
    """Open high-dose micrographs (see :func:`lowdose.training.ways.iter_open`)."""
    setting.refuse_frames("high-dose")
    micrographs = [
        io.read(path).replace(name=path.name)
        for path in list_micrographs(config.folder)
    ]
    places = [(m, index) for m in micrographs for index in range(m.n_frames)]

    def binned(number: int) -> Image:
        micrograph, index = places[number]
        name = f"{micrograph.name}, frame {index}"
        return area_downsample(_sound(micrograph.frame(index), name), config.binning)

    clock, dim = Clock(), []
    images = Kept(binned, lambda image: image.nbytes)
    for number, (micrograph, index) in enumerate(places):
        name = f"{micrograph.name}, frame {index}"
        small = images[number]
        if min(small.shape) < setting.patch:
            msg = (
                f"{name} has {small.shape[0]} x {small.shape[1]} px after binning "
                f"by {config.binning}, less than a crop of {setting.patch} px. Set "
                "data.binning=1, or a smaller training.patch."
            )
            raise InvalidImageError(msg)
        if float(small.mean()) < config.least_counts:
            dim.append(name)
        yield Progress(
            stage="read",
            done=number + 1,
            total=len(places),
            seconds=clock.seconds,
        )
    if len(places) < 2:
        msg = (
            f"There is one micrograph in {config.folder}; two are needed at least, one "
            "to learn from and one to validate."
        )
        raise InvalidImageError(msg)
    warnings: tuple[str, ...] = ()
    if dim:
        warnings = (
            f"{len(dim)} of {len(places)} micrographs, such as {dim[0]}, have a mean "
            f"below {config.least_counts:g} counts: unless these are no counts, their "
            "own noise is not small, and will be learnt as if it was specimen.",
        )
    return HighDose(config, setting, images, len(places), warnings)


def _sound(frame: NDArray[np.generic], name: str) -> NDArray[np.generic]:
    """Refuse what is no clean micrograph; NaN and Inf become the mean."""
    image = np.asarray(frame, np.float32)
    good = np.isfinite(image)
    if not good.any() or float(image[good].max()) == float(image[good].min()):
        msg = f"{name} is constant or not finite. Leave it out."
        raise InvalidImageError(msg)
    return image if good.all() else np.where(good, image, image[good].mean())
