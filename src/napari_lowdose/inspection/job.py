"""The job behind "Inspect": every check that was ticked, on one frame."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lowdose.errors import LowDoseError
from lowdose.micrograph import Micrograph
from lowdose.progress import Progress, ShouldStop
from napari_lowdose.inspection.checks import TITLES

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from lowdose.denoiser import Denoiser
    from lowdose.inference import DenoiseOptions
    from lowdose.noise import NoiseModel
    from lowdose.trust.evidence import ColumnEvidence
    from lowdose.trust.inspection import Inspection
    from lowdose.trust.maps import TrustMap
    from napari_lowdose._denoising import Loader
    from napari_lowdose._layers import LayerSnapshot
    from napari_lowdose.inspection.recorded import Recorded


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InspectRequest:
    """A frame to inspect.

    Parameters
    ----------
    noisy, denoised : Micrograph, shape ([T,] [Z,] H, W)
        The two layers, whole.
    source : LayerSnapshot
        The noisy layer: where everything that is found lies.
    frame, denoised_frame : int
        Number of the frame, in each of them.
    recorded : Recorded or None
        What made the denoised one, where it is to be run again.
    checks : tuple of str
        Names of the checks, of :data:`~napari_lowdose.inspection.checks.CHECKS`.
    noise : NoiseModel or None
        Noise of the detector, where the user knows it.
    vacuum : ndarray, shape (H, W), bool, or None
        The region of vacuum, where the user drew it.
    diameter_nm : float or None
        Of the disks of the local deviance [nm], where the user chose it.
    repeats, seed : int
        How often new noise is drawn, and the seed of all that is random.
    options : DenoiseOptions
        Where and in what pieces to denoise.
    loader : Loader
        What loads the denoiser.
    """

    noisy: Micrograph
    denoised: Micrograph
    source: LayerSnapshot
    frame: int
    denoised_frame: int
    recorded: Recorded | None
    checks: tuple[str, ...]
    noise: NoiseModel | None
    vacuum: NDArray[np.bool_] | None
    diameter_nm: float | None
    repeats: int
    seed: int
    options: DenoiseOptions
    loader: Loader

    def run(self, should_stop: ShouldStop) -> Generator[Progress, None, Inspected]:
        """Make every check, yielding progress.

        A check that cannot be made of these data is left out, with the reason.

        Raises
        ------
        LowDoseError
            If the two images do not belong together, or nothing could be made.
        """
        from lowdose.trust.inspection import iter_inspect
        from lowdose.trust.panels import single

        yield Progress(stage="load", done=0, total=0)
        noisy = one_frame(self.noisy, self.frame)
        denoiser, caveats = self._denoiser()
        found = yield from iter_inspect(
            noisy,
            one_frame(self.denoised, self.denoised_frame),
            denoiser,
            noise=self.noise,
            maps=self.checks,
            vacuum=self.vacuum,
            diameter_nm=self.diameter_nm,
            repeats=self.repeats,
            seed=self.seed,
            options=self.options,
            should_stop=should_stop,
        )
        found = replace(
            found,
            caveats=(*caveats, *found.caveats),
            left_out={TITLES[name]: why for name, why in found.left_out.items()},
        )
        yield Progress(stage="draw", done=0, total=0)
        return Inspected(
            request=self,
            inspection=found,
            pictures={
                one.name: single(one) for one in found.maps if not lies_on(one, noisy)
            },
        )

    def _denoiser(self) -> tuple[Denoiser | None, tuple[str, ...]]:
        """Load what made the image, or say why it cannot be."""
        if self.recorded is None:
            return None, ()
        try:
            return self.loader.load(self.recorded.denoiser, self.recorded.values), ()
        except LowDoseError as error:
            caveat = (
                f"The denoiser of the denoised layer, {self.recorded.denoiser!r}, "
                f"cannot be loaded, so checks that run it again are left out. {error}"
            )
            return None, (caveat,)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inspected:
    """What was found.

    Parameters
    ----------
    request : InspectRequest
        What it answers.
    inspection : Inspection
        All maps, verdicts, numbers and caveats.
    pictures : mapping of str to bytes
        By name, a PNG of every map that does not lie on the frame: its axes are lags
        or frequencies.
    """

    request: InspectRequest
    inspection: Inspection
    pictures: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def maps(self) -> tuple[TrustMap, ...]:
        """All maps."""
        return self.inspection.maps

    @property
    def evidence(self) -> ColumnEvidence | None:
        """The columns, where they were tested."""
        return self.inspection.evidence


def one_frame(image: Micrograph, number: int) -> Micrograph:
    """Return one frame of an image, named with its number where there are several."""
    name = image.name
    if image.n_frames > 1:
        name = f"{name}, frame {number}"
    return Micrograph(image.frame(number), image.calibration.last(2), name)


def lies_on(one: TrustMap, frame: Micrograph) -> bool:
    """Return whether a map says something of every pixel of a frame."""
    return one.image.calibration.axes == frame.calibration.axes
