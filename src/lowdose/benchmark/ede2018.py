"""The protocol ``ede2018``: Poisson instances of crops, at two ranges of dose.

After J. M. Ede, R. Beanland, Ultramicroscopy 202, 18 (2019),
doi:10.1016/j.ultramic.2019.03.017, and the code that goes with it. A crop x, rescaled
to 0 to 1, gives counts y ~ Poisson(s x), with s = 25 + Exp(75) at the low and
s ~ U(200, 2500) at the ordinary dose. What is denoised is y rescaled to 0 to 1, and
the truth is x matched to its mean; SSIM is scaled by the range of the *denoised*
image, and networks are clipped to 0 to 1.

Denoisers are given the counts y here, and their results are rescaled as y is: to the
filters, which are told the range, that makes no difference, and networks that know
counting noise need counts. Because matching means leaves the truth at another scale
than the rescaled counts, every result is also scored in electrons, against s x.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from lowdose.benchmark.choosing import divide, middle, square, tuning_numbers
from lowdose.benchmark.scoring import finite
from lowdose.benchmark.study import Item, Scene, Scores
from lowdose.errors import ParameterError
from lowdose.metrics import ssim
from lowdose.noise import sample_poisson
from lowdose.simulation.detector import unit_range
from lowdose.simulation.detectors import detector

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from lowdose.benchmark.found import Found
    from lowdose.benchmark.methods import Method
    from lowdose.benchmark.report import Report
    from lowdose.benchmark.sources import Pool
    from lowdose.benchmark.study import Denoise
    from lowdose.filters.tuning import Score

#: Ranges of dose, and the detectors that have their laws.
REGIMES: Final = {"low": "ede-low", "ordinary": "ede-ordinary"}
#: The filters at the calls of the paper's code: nine rows with the unfiltered counts.
FILTERS: Final = tuple(
    f"{name}:preset=ede2018"
    for name in (
        "gaussian",
        "bilateral",
        "median",
        "wiener",
        "wavelet",
        "tv-chambolle",
        "tv-bregman",
        "nl-means",
    )
)
#: Side of the crops [px], and smallest one that can be scored.
SIDE: Final = 512
_SMALLEST: Final = 16
#: Numbers of the instances to tune on begin here, beyond those of any test.
_ASIDE: Final = 10**9
#: Items of each dose that are shown.
_SHOWN: Final = 2


@dataclass(frozen=True, kw_only=True)
class EdeStudy:
    """The protocol with its images.

    Parameters
    ----------
    pool : Pool
        Clean images.
    count : int
        Instances at each dose.
    seed : int
        Of crops, doses and noise.
    side : int
        Of the crops [px]; of a smaller image all is used.
    """

    pool: Pool
    count: int
    seed: int = 0
    side: int = SIDE

    name = "ede2018"
    tuned_for: ClassVar[Score] = "mse"

    @property
    def identity(self) -> Mapping[str, Any]:
        """Images, seed and side."""
        return {
            "images": dict(self.pool.identity),
            "seed": self.seed,
            "side": self.side,
        }

    @cached_property
    def items(self) -> Sequence[Item]:
        """Instances of both doses in turns."""
        records = self.pool.records
        tested = self._divided[0]
        sources = [tested[number % len(tested)] for number in range(self.count)]
        return [
            Item(
                key=f"{regime}-{number:06d}",
                source=source,
                level=regime,
                record={"regime": regime, "instance": number, **_of(records[source])},
                pictured=number < _SHOWN,
            )
            for number, source in enumerate(sources)
            for regime in REGIMES
        ]

    def scene(self, item: Item) -> Scene:
        """Draw an instance: crop, dose and counts."""
        return self._instance(item.source, item.level, item.record["instance"])

    def score(
        self, item: Item, scene: Scene, denoise: Denoise, method: Method
    ) -> Scores:
        """Score an instance as the paper does, and in electrons."""
        counts = np.asarray(scene.counts, np.float64)
        low, span = float(counts.min()), float(np.ptp(counts))
        if span == 0:
            return Scores(rows=[{}])  # no electron at all
        result = np.asarray(denoise(scene.counts), np.float64)
        seen = (counts - low) / span
        estimate = (result - low) / span
        if method.network:
            estimate = np.clip(estimate, 0, 1)
        unit = scene.more["unit"]
        truth = unit * (seen.mean() / unit.mean())
        error = np.abs(estimate - truth)
        dose = scene.more["dose"]
        values: dict[str, Any] = {
            "dose": dose,
            "mse": float(np.mean(error**2)),
            "ssim": None,
            "mse_electrons": float(np.mean((result / dose - unit) ** 2)),
            "ssim_electrons": ssim(result / dose, unit, data_range=1.0),
        }
        own_range = float(np.ptp(estimate))
        if own_range > 0:
            values["ssim"] = finite(ssim(estimate, truth, data_range=own_range))
        sums = {f"{item.level}-spectrum": radial_spectrum(estimate)}
        if error.shape == (self.side, self.side):
            sums[f"{item.level}-error"] = error
        pictures = {"image": estimate.astype(np.float32)}
        if method.spec is None:
            pictures["truth"] = truth.astype(np.float32)
            sums[f"{item.level}-truth-spectrum"] = radial_spectrum(truth)
        return Scores(rows=[values], pictures=pictures, sums=sums)

    def tuning_scenes(self, level: str) -> Sequence[Scene]:
        """Return the middles of instances of images that are set aside."""
        return [
            middle(self._instance(number, level, _ASIDE + number))
            for number in tuning_numbers(self.pool.records, self._divided[1])
        ]

    def report(self, found: Found) -> Report:
        """Return the tables and pictures."""
        from lowdose.benchmark.ede2018_report import ede_report

        return ede_report(self, found)

    @cached_property
    def _divided(self) -> tuple[list[int], list[int]]:
        return divide(self.pool.records, self.seed)

    def _instance(self, source: int, regime: str, number: int) -> Scene:
        place = list(REGIMES).index(regime)
        rng = np.random.default_rng([self.seed, place, number])
        crop = square(self.pool.image(source), self.side, rng)
        if min(crop.frame_shape) < _SMALLEST:
            msg = f"An image of {crop.frame_shape} px is too small; take larger ones."
            raise ParameterError(msg)
        unit = unit_range(np.asarray(crop))
        law = detector(REGIMES[regime]).dose
        assert law is not None
        dose = law.draw(rng)
        truth = (unit * dose).astype(np.float32)
        counts = sample_poisson(truth, rng).astype(np.float32)
        return Scene(
            counts=crop.replace(data=counts),
            truth=truth,
            unit=dose,
            more={"unit": unit, "dose": dose},
        )


def _of(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a result says of its image: the specimen, and which set it is of."""
    return {key: record[key] for key in ("specimen", "set") if key in record}


def radial_spectrum(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean amplitude of rings of the spectrum, of sum 1.

    Parameters
    ----------
    image : ndarray, shape (H, W)
        An image.

    Returns
    -------
    ndarray, shape (128,)
        Rings of equal width from frequency 0 to Nyquist, the mean of the image left
        out.
    """
    amplitude = np.abs(np.fft.fft2(image - image.mean()))
    y, x = (np.fft.fftfreq(side) for side in image.shape)
    ring = np.minimum(np.hypot(y[:, None], x[None, :]) * 256, 128).astype(int).ravel()
    total = np.bincount(ring, amplitude.ravel(), minlength=129)[:128]
    times = np.bincount(ring, minlength=129)[:128]
    means = total / np.maximum(times, 1)
    whole = means.sum()
    return np.asarray(means / whole if whole > 0 else means)
