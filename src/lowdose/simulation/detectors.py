"""The noise models of the published data sets, and cameras of our own, by name."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from lowdose.errors import ParameterError, did_you_mean
from lowdose.simulation.detector import Detector
from lowdose.simulation.detector_stages import BeamProfile, Dose, Transfer

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Name to detector.
#:
#: ``sbd``
#:     Published: Poisson(scale x), with scale 1 (S. Mohan et al., "Deep Denoising for
#:     Scientific Discovery: A Case Study in Electron Microscopy", IEEE Trans. Comput.
#:     Imaging 8, 585 (2022). doi:10.1109/TCI.2022.3176536).
#: ``ede-low``, ``ede-ordinary``
#:     Published: the image is rescaled to 0 to 1, multiplied by a random largest
#:     expected count, 25 + Exp(mean 75) or U(200, 2500), Poisson noise is drawn, and
#:     the result is rescaled to 0 to 1 (J. M. Ede, R. Beanland, "Improving electron
#:     micrograph signal-to-noise with an atrous convolutional encoder-decoder",
#:     Ultramicroscopy 202, 18 (2019). doi:10.1016/j.ultramic.2019.03.017).
#: ``em-graphene``
#:     Published: a beam profile, Poisson noise and random dead pixels, in this order
#:     (the em_graphene_sim data set of SciML-Bench). Its constants are not published;
#:     those here are OURS: a Gaussian beam of 0.6 to 1.2 sides, its centre off by 0.1
#:     sides rms, a log-uniform dose of 20 to 500 times the image, 0.1 % dead pixels.
#:     Values come back in the units of the clean image.
#: ``counting``
#:     OURS: a counting camera at 0.9 DQE with little blur.
#: ``scintillator``
#:     OURS: a scintillator camera with blur, read noise, gain, and 16 bit.
#: ``scan``
#:     OURS: a scanned detector with noise of rows and read noise.
DETECTORS: Final[Mapping[str, Detector]] = MappingProxyType(
    {
        "sbd": Detector(dose=Dose(low=1)),
        "ede-low": Detector(
            dose=Dose(law="exponential", low=25, high=75, of="peak"), rescale="minmax"
        ),
        "ede-ordinary": Detector(
            dose=Dose(law="uniform", low=200, high=2500, of="peak"), rescale="minmax"
        ),
        "em-graphene": Detector(
            profile=BeamProfile(narrowest=0.6, widest=1.2, offset=0.1),
            dose=Dose(law="log-uniform", low=20, high=500),
            dead=1e-3,
            rescale="dose",
        ),
        "counting": Detector(
            dose=Dose(law="log-uniform", low=0.5, high=50),
            dqe=0.9,
            mtf=Transfer(nyquist=0.6, power=2),
            ntf=Transfer(nyquist=0.8, power=2),
        ),
        "scintillator": Detector(
            dose=Dose(law="log-uniform", low=2, high=200),
            dqe=0.6,
            mtf=Transfer(nyquist=0.12, power=1),
            ntf=Transfer(nyquist=0.25, power=1),
            gain=20,
            offset=100,
            read_noise=15,
            dead=1e-5,
            hot=1e-5,
            hot_counts=5000,
            pixel_seed=0,
            quantise=True,
            full_well=65535,
        ),
        "scan": Detector(
            dose=Dose(law="log-uniform", low=5, high=200, of="mean"),
            gain=10,
            offset=50,
            read_noise=10,
            row_noise=15,
            quantise=True,
        ),
    }
)


def detector(name: str) -> Detector:
    """Return a detector of :data:`DETECTORS`.

    Parameters
    ----------
    name : str
        Such as ``"sbd"``.

    Returns
    -------
    Detector

    Raises
    ------
    ParameterError
        If there is none of that name.
    """
    try:
        return DETECTORS[name]
    except KeyError:
        msg = f"There is no detector {name!r}. {did_you_mean(name, DETECTORS)}"
        raise ParameterError(msg) from None
