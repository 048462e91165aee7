"""Whether a model does harm: what it makes of images without noise or specimen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lowdose.inference import denoise
from lowdose.metrics.harm import (
    NoiseResponse,
    change_of_clean,
    change_of_constant,
    noise_response,
)
from lowdose.micrograph import Calibration, Micrograph
from lowdose.simulation import procedural
from lowdose.simulation.dataset import open_sample
from lowdose.zoo import load_model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from lowdose.zoo.cards import ModelCard

    Image = NDArray[np.float32]

#: Rates of the pure noise [e-/px of the sampling of the network].
RATES: Final = (1.0, 20.0, 400.0)
#: What empty, dim and saturated cameras record [counts].
VALUES: Final = (0.0, 1.0, 255.0, 65535.0)
#: Dose of the clean images [e-/px].
_CLEAN_DOSE: Final = 2000.0
#: Pixels that are summed for a network of one sampling.
_BINNING: Final = 3
#: Drawn images without fine texture: a lens lets nothing finer through.
_SMOOTH: Final = ("crystals",)
_NO_GRAIN: Final = (0.0, 0.1, 1.0)
#: Images of the set of the package that are clean: specimens that differ.
_SAMPLES: Final = (0, 5, 10, 15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Harm:
    """What a model makes of images that hold nothing for it to do.

    Parameters
    ----------
    clean : float
        Largest root mean square change of a clean image, over its standard deviation.
    constant : float
        Largest change of an image of one value, over that value.
    noise : mapping of float to NoiseResponse
        By rate [e-/px].
    """

    clean: float
    constant: float
    noise: Mapping[float, NoiseResponse]

    @property
    def peak(self) -> float:
        """Largest peak in the spectrum of denoised noise, over that of the noise."""
        return max(response.peak for response in self.noise.values())

    @property
    def left(self) -> float:
        """Largest part of the noise that is left."""
        return max(response.left for response in self.noise.values())

    def beyond(self, bounds: Mapping[str, Any]) -> list[str]:
        """Say which bounds of a card are not kept.

        Parameters
        ----------
        bounds : mapping
            The table ``harm`` of a card: ``clean``, ``constant``, ``noise_left`` and
            ``noise_peak``; what is not there has no bound.

        Returns
        -------
        list of str
            A sentence each.
        """
        found = {
            "clean": self.clean,
            "constant": self.constant,
            "noise_left": self.left,
            "noise_peak": self.peak,
        }
        return [
            f"{key} is {value:.3g}, more than the {float(bounds[key]):.3g} of the card."
            for key, value in found.items()
            if key in bounds and not value <= float(bounds[key])
        ]


def find_harm(card: ModelCard, *, images: int = 4, side: int = 256) -> Harm:
    """Denoise clean images, constants and pure noise by a model.

    Parameters
    ----------
    card : ModelCard
        Of the model. Where it names a sampling, images have a third of its pixel size,
        and the clean ones are those of the set of the package (a particle on its
        support); others are drawn.
    images : int, optional
        Images of noise at each of :data:`RATES`.
    side : int, optional
        Of the images [px of the sampling of the network].

    Returns
    -------
    Harm

    Raises
    ------
    WeightsError
        If the weights of the model cannot be loaded.
    """
    binning = 1 if card.sampling is None else _BINNING
    shape = (side * binning, side * binning)
    apply = _applying(card)
    return Harm(
        clean=change_of_clean(apply, _clean_images(card, side)),
        constant=change_of_constant(apply, VALUES, shape=shape),
        noise={
            rate: noise_response(
                apply, rate=rate / binning**2, shape=shape, images=images
            )
            for rate in RATES
        },
    )


def _applying(card: ModelCard) -> Callable[[Image], Image]:
    """Return what denoises an array by a model, as any micrograph is."""
    denoiser = load_model(card.folder)
    size = None if card.sampling is None else card.sampling.pixel_size / _BINNING
    unit = None if size is None else "nm"
    middle = card.frames // 2

    def apply(counts: Image) -> Image:
        movie = np.stack([counts] * card.frames)
        noisy = np.ptp(counts) > 0 and np.array_equal(counts, np.rint(counts))
        if card.frames > 1 and noisy:
            # A movie of noise: each frame has its own.
            rng = np.random.default_rng(int(counts.sum()))
            movie = rng.poisson(counts.mean(), movie.shape).astype(np.float32)
            movie[middle] = counts
        calibration = Calibration.from_spacing((None, size, size), (None, unit, unit))
        denoised: Image = np.asarray(
            denoise(Micrograph(movie, calibration), denoiser), np.float32
        )[middle]
        return denoised

    return apply


def _clean_images(card: ModelCard, side: int) -> list[NDArray[Any]]:
    """Return clean images of the kind that a model is for [e-/px]."""
    if card.sampling is None:
        return [
            _CLEAN_DOSE
            * procedural.draw(
                kind,
                np.random.default_rng([3, n]),
                side,
                grain=_NO_GRAIN if kind in _SMOOTH else procedural.GRAIN,
            )
            for n, kind in enumerate(procedural.KINDS)
        ]
    with open_sample() as sample:
        return [_CLEAN_DOSE * sample[number] for number in _SAMPLES]
