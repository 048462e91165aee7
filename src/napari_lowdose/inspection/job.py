"""The job behind "Inspect": every check that was ticked, on one frame."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from lowdose.errors import InvalidImageError, LowDoseError
from lowdose.micrograph import Micrograph
from lowdose.progress import Progress, ShouldStop
from napari_lowdose.inspection.checks import DEVIANCE, EVIDENCE, TITLES
from napari_lowdose.inspection.findings import (
    deviance_verdict,
    evidence_numbers,
    evidence_verdict,
)

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
    from lowdose.trust.residual_verdicts import Verdict
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
        from lowdose.trust.panels import single

        yield Progress(stage="load", done=0, total=0)
        noisy = one_frame(self.noisy, self.frame)
        denoised = one_frame(self.denoised, self.denoised_frame)
        work = _Work(request=self, noisy=noisy, denoised=denoised)
        work.load()
        inspection = yield from work.common(should_stop)
        evidence = None
        if EVIDENCE in self.checks:
            evidence = yield from work.evidence(should_stop)
        if DEVIANCE in self.checks:
            yield from work.deviance(should_stop)
        found = work.collected(inspection)
        yield Progress(stage="draw", done=0, total=0)
        return Inspected(
            request=self,
            inspection=found,
            evidence=evidence,
            pictures={
                one.name: single(one) for one in found.maps if not lies_on(one, noisy)
            },
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inspected:
    """What was found.

    Parameters
    ----------
    request : InspectRequest
        What it answers.
    inspection : Inspection
        All maps, verdicts, numbers and caveats.
    evidence : ColumnEvidence or None
        The columns, where they were tested.
    pictures : mapping of str to bytes
        By name, a PNG of every map that does not lie on the frame: its axes are lags
        or frequencies.
    """

    request: InspectRequest
    inspection: Inspection
    evidence: ColumnEvidence | None
    pictures: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def maps(self) -> tuple[TrustMap, ...]:
        """All maps."""
        return self.inspection.maps


def one_frame(image: Micrograph, number: int) -> Micrograph:
    """Return one frame of an image, named with its number where there are several."""
    name = image.name
    if image.n_frames > 1:
        name = f"{name}, frame {number}"
    return Micrograph(image.frame(number), image.calibration.last(2), name)


def lies_on(one: TrustMap, frame: Micrograph) -> bool:
    """Return whether a map says something of every pixel of a frame."""
    return one.image.calibration.axes == frame.calibration.axes


@dataclass(slots=True, kw_only=True, eq=False)
class _Work:
    """One run: what it stands on, and what was found so far."""

    request: InspectRequest
    noisy: Micrograph
    denoised: Micrograph
    denoiser: Denoiser | None = None
    maps: list[TrustMap] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    numbers: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    caveats: list[str] = field(default_factory=list)

    def load(self) -> None:
        """Load the denoiser that made the image, where it can be run on one frame."""
        recorded = self.request.recorded
        if recorded is None:
            return
        try:
            denoiser = self.request.loader.load(recorded.denoiser, recorded.values)
        except LowDoseError as error:
            self.caveats.append(
                f"The denoiser of the denoised layer, {recorded.denoiser!r}, cannot be "
                f"loaded, so checks that run it again are left out. {error}"
            )
            return
        if denoiser.needs.frames > 1:
            self.caveats.append(
                f"{recorded.denoiser!r} sees neighbouring frames, so it cannot be run "
                "again on one frame alone: checks that do so are left out."
            )
            return
        self.denoiser = denoiser

    def common(
        self, should_stop: ShouldStop
    ) -> Generator[Progress, None, Inspection | None]:
        """Make those checks that the command line makes too."""
        from lowdose.trust.inspection import MAKERS, iter_inspect

        own = (EVIDENCE, DEVIANCE)
        known = {maker.name for maker in MAKERS}
        names = [n for n in self.request.checks if n in known and n not in own]
        if not names:
            return None
        try:
            found: Inspection = yield from iter_inspect(
                self.noisy,
                self.denoised,
                self.denoiser,
                noise=self.request.noise,
                maps=names,
                repeats=self.request.repeats,
                seed=self.request.seed,
                options=self.request.options,
                should_stop=should_stop,
            )
        except InvalidImageError as error:
            if not set(own) & set(self.request.checks):
                raise
            self.left_out |= dict.fromkeys(names, str(error))
            return None
        return found

    def evidence(
        self, should_stop: ShouldStop
    ) -> Generator[Progress, None, ColumnEvidence | None]:
        """Test the columns."""
        from lowdose.trust.evidence import EvidenceOptions, iter_column_evidence

        try:
            noise, splitter = self._noise()
            found = yield from iter_column_evidence(
                self.noisy,
                self.denoised,
                denoiser=splitter,
                vacuum=self.request.vacuum,
                noise=noise,
                options=EvidenceOptions(seed=self.request.seed),
                denoise_options=self.request.options,
                should_stop=should_stop,
            )
        except InvalidImageError as error:
            self.left_out[EVIDENCE] = str(error)
            return None
        self.maps += found.maps
        self.verdicts.append(evidence_verdict(found))
        self.numbers["columns"] = evidence_numbers(found)
        return found

    def deviance(self, should_stop: ShouldStop) -> Generator[Progress, None, None]:
        """Compare the counts with the denoised image."""
        from lowdose.trust.deviance import DevianceOptions, iter_local_deviance

        try:
            noise, splitter = self._noise()
            found = yield from iter_local_deviance(
                self.noisy,
                self.denoised,
                denoiser=splitter,
                noise=noise,
                options=DevianceOptions(seed=self.request.seed),
                denoise_options=self.request.options,
                should_stop=should_stop,
            )
        except InvalidImageError as error:
            self.left_out[DEVIANCE] = str(error)
            return
        self.maps += found.maps
        self.verdicts.append(deviance_verdict(found, independent=splitter is not None))

    def collected(self, inspection: Inspection | None) -> Inspection:
        """Return everything as one inspection."""
        from lowdose.trust.inspection import Inspection, Subject

        if inspection is None:
            if not self.maps:
                reasons = dict.fromkeys(self.left_out.values())
                msg = f"Nothing could be made of these two layers. {' '.join(reasons)}"
                raise InvalidImageError(msg)
            inspection = Inspection(
                subject=Subject(
                    noisy=self.noisy,
                    denoised=self.denoised,
                    denoiser=self.denoiser,
                    noise=self.request.noise,
                    repeats=self.request.repeats,
                    seed=self.request.seed,
                    options=self.request.options,
                ),
                maps=(),
                verdicts=(),
                numbers={},
                left_out={},
                caveats=(),
            )
        caveats = (*self.caveats, *inspection.caveats)
        left_out = {**inspection.left_out, **self.left_out}
        return replace(
            inspection,
            maps=(*inspection.maps, *self.maps),
            verdicts=(*inspection.verdicts, *self.verdicts),
            numbers={**inspection.numbers, **self.numbers},
            left_out={TITLES.get(name, name): why for name, why in left_out.items()},
            caveats=tuple(dict.fromkeys(caveats)),
        )

    def _noise(self) -> tuple[NoiseModel | None, Denoiser | None]:
        """Return the noise as far as it is known, and what may split the electrons.

        Only whole electrons can be split; of others the tests say themselves that
        they stand on the same counts.
        """
        from lowdose.trust.grounds import find_noise, single_frame

        frame = single_frame(self.noisy, "noisy image")
        model, counted, _ = find_noise(frame, noise=self.request.noise)
        if counted:
            return model, self.denoiser
        return self.request.noise, None
