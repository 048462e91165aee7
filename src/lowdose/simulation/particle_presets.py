"""The presets ``sbd``, ``sbd-sharp`` and ``metals``: particles on ceria.

After S. Mohan et al., IEEE Trans. Comput. Imaging 8, 585 (2022),
doi:10.1109/TCI.2022.3176536: their images have 0.45 electrons per pixel in vacuum, at
a pixel size of about 0.0061 nm after the resizing that they train with, and defocus
values of 0 to 20 nm, in steps of 1. Ours, at 300 keV, have the ranges of
:meth:`NanoparticleParameters.draw` and :meth:`Optics.draw`; contrast, vibration and
focal spread are chosen here. ``sbd-sharp`` is what a lens shows on a good day, with
the contrast of SBD's images but sharper columns. ``sbd`` shows the same specimens
under the same lenses as sharp as SBD's images are. ``metals`` is ``sbd`` with
particles of other metals than platinum.
"""

from __future__ import annotations

import dataclasses
import math
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lowdose.simulation.imaging import Beam, Optics, exit_wave, hrtem
from lowdose.simulation.records import UNITS, draw_until_possible, image_record
from lowdose.simulation.rendering import Preset, Rendering, specimen_rng
from lowdose.simulation.specimens import NanoparticleParameters, nanoparticle
from lowdose.simulation.specimens.metals import LATTICE_CONSTANTS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.random import Generator
    from numpy.typing import NDArray

    from lowdose.simulation.imaging import ExitWave
    from lowdose.simulation.rendering import Record
    from lowdose.simulation.specimens.specimen import Specimen

#: Electrons per pixel in vacuum, of SBD's images.
SBD_VACUUM: Final = 0.45
#: Metals of the preset ``metals``.
OTHER_METALS: Final = tuple(metal for metal in LATTICE_CONSTANTS if metal != "Pt")
#: Images of one specimen, at as many defocus values.
_SERIES: Final = 4
#: SBD's defocus values [nm]: 0 to this, in steps of 1.
MAX_DEFOCUS: Final = 20
#: What is left of the contrast (the inverse of the Stobbs factor), so that the relative
#: standard deviation of sharp images is that of SBD's.
_CONTRAST: Final = (0.43, 0.485)
#: Vibration and focal spread [nm], of one instrument on a good day: the latter is that
#: of a Schottky emitter, 0.3 to 0.4 eV rms, with a chromatic aberration of 1.5 to
#: 1.6 mm at 300 keV. More vibration blurs away what little contrast columns have near
#: focus; more focal spread does so a few nm from it, and damps beams that a real image
#: keeps.
_VIBRATION: Final = (0.014, 0.018)
_FOCAL_SPREAD: Final = (1.8, 2.6)
#: Standard deviation along each axis [nm] of what else moves or blurs SBD's images:
#: the sample holder and drift during the exposure, thermal motion of the atoms, the
#: point spread of the camera. All act on the intensity alike, and are one Gaussian
#: here; with the vibration of the lens it is 0.037 to 0.038 nm, usual for microscopes.
_FURTHER_VIBRATION: Final = 0.034
#: Factor of the contrast that goes with it: the Stobbs factor that suits sharp images
#: is a little too strong for blurred ones, whose columns the blur itself lowers.
_CONTRAST_GAIN: Final = 1.1
#: Size of the view [nm], a little more than the image.
VIEW: Final = 4.4
ENERGY: Final = 300.0


def sbd_preset(
    *,
    pixel_size: float = 0.0061,
    size: int = 720,
    vibration: float = _FURTHER_VIBRATION,
    contrast: float = _CONTRAST_GAIN,
) -> Preset:
    """Return the preset ``sbd``: images with the statistics of SBD's.

    Its specimens and lenses are those of :func:`sbd_sharp_preset` with the same seed.

    Parameters
    ----------
    pixel_size : float, optional
        [nm/px].
    size : int, optional
        Height and width [px].
    vibration : float, optional
        Standard deviation of a further vibration along each axis [nm], added in
        quadrature to that of the lens. By default that which, with `contrast`, gives
        images on which Gaussian filters reach what they reach on SBD's; see
        ``benchmarks/sbd_matched.py``.
    contrast : float, optional
        Factor of the contrast that is left, about the vacuum; at most 2.

    Returns
    -------
    Preset
        Rendering raises :class:`~lowdose.errors.ParameterError` where `vibration` or
        `contrast` is out of the range of :class:`~lowdose.simulation.imaging.Optics`.
    """
    return _series_preset(
        name="sbd",
        title="Platinum nanoparticles on ceria, HRTEM defocus series",
        summary="after SBD: 4 defocus values of 0 to 20 nm from each specimen",
        options={
            "pixel_size": pixel_size,
            "size": size,
            "vibration": vibration,
            "contrast": contrast,
        },
        vibration=vibration,
        contrast=contrast,
    )


def metals_preset(*, pixel_size: float = 0.0061, size: int = 720) -> Preset:
    """Return the preset ``metals``: as ``sbd``, of seven other metals.

    Each specimen is of the next metal, so that all are equally often there. Lenses,
    shapes and supports are those of ``sbd``.

    Parameters
    ----------
    pixel_size : float, optional
        [nm/px].
    size : int, optional
        Height and width [px].

    Returns
    -------
    Preset
    """
    return _series_preset(
        name="metals",
        title="Nanoparticles of gold, silver and other metals on ceria, HRTEM",
        summary="as sbd, with Au, Ag, Pd, Ir, Rh, Cu and Ni in turn in place of Pt",
        options={"pixel_size": pixel_size, "size": size},
        vibration=_FURTHER_VIBRATION,
        contrast=_CONTRAST_GAIN,
        metals=OTHER_METALS,
    )


def sbd_sharp_preset(*, pixel_size: float = 0.0061, size: int = 720) -> Preset:
    """Return the preset ``sbd-sharp``: ``sbd`` with sharper columns than SBD's.

    Its images are those of ``sbd`` before that had SBD's statistics. They are the
    harder ones, and what training blurs at random.

    Parameters
    ----------
    pixel_size : float, optional
        [nm/px].
    size : int, optional
        Height and width [px].

    Returns
    -------
    Preset
    """
    return _series_preset(
        name="sbd-sharp",
        title="Platinum nanoparticles on ceria, HRTEM defocus series, sharp",
        summary="as sbd, with the little vibration of a good day",
        options={"pixel_size": pixel_size, "size": size},
        vibration=0.0,
        contrast=1.0,
    )


def structure_class(parameters: NanoparticleParameters) -> str:
    """Return the class of a particle by its width: ours, where SBD have four models.

    Parameters
    ----------
    parameters : NanoparticleParameters
        Of the particle.

    Returns
    -------
    {"none", "small", "medium", "large"}
        Below 3 nm, 3 to 4 nm, above; none without a particle.
    """
    if parameters.content not in {"both", "particle"}:
        return "none"
    size = parameters.size
    return "small" if size < 3 else "medium" if size < 4 else "large"


def _series_preset(
    *,
    name: str,
    title: str,
    summary: str,
    options: Mapping[str, Any],
    vibration: float,
    contrast: float,
    metals: tuple[str, ...] = ("Pt",),
) -> Preset:
    """Return a preset of defocus series; its options have the size of the images."""
    return Preset(
        name=name,
        title=title,
        summary=summary,
        images_per_specimen=_SERIES,
        detector="sbd",
        vacuum=SBD_VACUUM,
        units=UNITS,
        options=options,
        render=partial(
            _render_series,
            options["pixel_size"],
            options["size"],
            vibration,
            contrast,
            metals,
        ),
    )


def _render_series(
    pixel_size: float,
    size: int,
    vibration: float,
    contrast: float,
    metals: tuple[str, ...],
    seed: int,
    number: int,
    cache: Path | None,
) -> Rendering:
    """Simulate a specimen once, and image it at several defocus values."""
    rng, own = specimen_rng(seed, number)
    view = max(VIEW, size * pixel_size)
    metal = metals[number % len(metals)]
    parameters, specimen = draw_until_possible(
        partial(NanoparticleParameters.draw, height=view, width=view, metal=metal),
        lambda drawn: nanoparticle(drawn, own),
        rng,
    )
    optics = draw_optics(rng)
    wave = exit_wave(specimen, Beam(energy=ENERGY), cache=cache)
    images, records = [], []
    # Evenly spread over SBD's values, from a random start: each is drawn as often.
    start = rng.uniform()
    for index in range(_SERIES):
        defocus = np.floor((index + start) * (MAX_DEFOCUS + 1) / _SERIES)
        lens = dataclasses.replace(optics, defocus=float(defocus))
        blurred = dataclasses.replace(
            lens,
            vibration=math.hypot(lens.vibration, vibration),
            contrast=lens.contrast * contrast,
        )
        image = imaged_at_dose(wave, blurred, pixel_size, size)
        images.append(image)
        records.append(
            particle_record(
                parameters,
                specimen,
                number,
                image,
                index=index,
                pixel_size=pixel_size,
                optics=blurred,
            )
        )
    return Rendering(images=np.stack(images), records=records)


def imaged_at_dose(
    wave: ExitWave, optics: Optics, pixel_size: float, size: int
) -> NDArray[np.float32]:
    """Image an exit wave at SBD's dose.

    Parameters
    ----------
    wave : ExitWave
        Behind the specimen.
    optics : Optics
        The lens.
    pixel_size : float
        [nm/px].
    size : int
        Height and width [px].

    Returns
    -------
    ndarray, shape (size, size), float32
        Expected electrons per pixel.
    """
    image = hrtem(wave, optics, sampling=pixel_size, shape=(size, size))
    image *= np.float32(SBD_VACUUM)
    return image


def particle_record(
    parameters: NanoparticleParameters,
    specimen: Specimen,
    number: int,
    image: NDArray[np.float32],
    *,
    index: int,
    pixel_size: float,
    optics: Optics,
    **more: Any,
) -> Record:
    """Return everything that is known about an image at SBD's dose.

    Parameters
    ----------
    parameters : NanoparticleParameters
        Of the particle, for its class.
    specimen, number, image, index, pixel_size, optics, **more
        As for :func:`~lowdose.simulation.records.image_record`.

    Returns
    -------
    mapping
        JSON types.
    """
    return image_record(
        specimen,
        number,
        image,
        index=index,
        vacuum=SBD_VACUUM,
        pixel_size=pixel_size,
        energy=ENERGY,
        optics=optics,
        **more,
        structure=structure_class(parameters),
    )


def draw_optics(rng: Generator) -> Optics:
    """Draw a lens on a good day, with what is left of the contrast.

    Parameters
    ----------
    rng : Generator
        Source of every choice.

    Returns
    -------
    Optics
        As sharp as the images of ``sbd-sharp``.
    """
    return dataclasses.replace(
        Optics.draw(rng),
        vibration=float(rng.uniform(*_VIBRATION)),
        focal_spread=float(rng.uniform(*_FOCAL_SPREAD)),
        contrast=float(rng.uniform(*_CONTRAST)),
    )
