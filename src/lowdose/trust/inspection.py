"""All that can be said of one denoised image, map by map.

What there is to be made is a plain list, :data:`~lowdose.trust.makers.MAKERS`;
appending a :class:`~lowdose.trust.subject.MapMaker` to it adds its maps to the command
line, to the page and, with a line in its list of checks, to the widget.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lowdose.errors import InvalidImageError, ParameterError, did_you_mean
from lowdose.progress import Progress, ShouldStop, never
from lowdose.trust.grounds import ground, single_frame
from lowdose.trust.makers import MAKERS
from lowdose.trust.repeats import DEFAULTS, denoise_counts, finish
from lowdose.trust.subject import Finding, MapMaker, Subject

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from numpy.typing import ArrayLike

    from lowdose.denoiser import Denoiser
    from lowdose.inference import DenoiseOptions
    from lowdose.micrograph import Micrograph
    from lowdose.noise import NoiseModel
    from lowdose.trust.evidence_result import ColumnEvidence
    from lowdose.trust.maps import TrustMap
    from lowdose.trust.residual_verdicts import Verdict

__all__ = [
    "MAKERS",
    "Finding",
    "Inspection",
    "MapMaker",
    "Subject",
    "inspect",
    "iter_inspect",
]

#: How far a denoised image may be from what the denoiser makes of the noisy one,
#: relative to what was taken away: rounding and precision, not another denoiser.
_SAME: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inspection:
    """Everything that was found.

    Parameters
    ----------
    subject : Subject
        What was inspected.
    maps : tuple of TrustMap
        All maps.
    verdicts : tuple of Verdict
        All verdicts.
    numbers : mapping of str to mapping
        Further numbers, by maker.
    left_out : mapping of str to str
        Makers that made nothing, and why.
    caveats : tuple of str
        What holds for all maps.
    evidence : ColumnEvidence or None
        The atomic columns, where they were tested.
    """

    subject: Subject
    maps: tuple[TrustMap, ...]
    verdicts: tuple[Verdict, ...]
    numbers: Mapping[str, Mapping[str, Any]]
    left_out: Mapping[str, str]
    caveats: tuple[str, ...]
    evidence: ColumnEvidence | None = None


def iter_inspect(
    noisy: Micrograph | ArrayLike,
    denoised: Micrograph | ArrayLike,
    denoiser: Denoiser | None = None,
    *,
    noise: NoiseModel | None = None,
    maps: Sequence[str | MapMaker] | None = None,
    vacuum: ArrayLike | None = None,
    truth: Micrograph | ArrayLike | None = None,
    diameter_nm: float | None = None,
    repeats: int = 16,
    seed: int = 0,
    options: DenoiseOptions = DEFAULTS,
    should_stop: ShouldStop = never,
) -> Generator[Progress, None, Inspection]:
    """Make every map of a denoised image, step by step.

    Parameters
    ----------
    noisy, denoised : Micrograph or array_like, shape (H, W)
        Counts of one frame, as recorded and denoised.
    denoiser : Denoiser, optional
        What denoised it. Without it, or where it sees neighbouring frames, only maps
        that need none are made.
    noise : NoiseModel, optional
        Noise of the detector; recognised or estimated where it is not given.
    maps : sequence of str or MapMaker, optional
        Names of makers (see :data:`~lowdose.trust.makers.MAKERS`), or makers of your
        own. None: all.
    vacuum : array_like, shape (H, W), bool, optional
        The region without specimen, for the evidence of columns. Found where it is
        not given.
    truth : Micrograph or array_like, shape (H, W), optional
        Expected counts, where they are known, as in a simulation.
    diameter_nm : float, optional
        Diameter of the disks of the local deviance [nm]. None: about 100 electrons.
    repeats : int, optional
        How often new noise is drawn, at least 2.
    seed : int, optional
        Seed of all that is random.
    options : DenoiseOptions, optional
        Where and in what pieces to compute.
    should_stop : callable, optional
        Asked between tiles.

    Yields
    ------
    Progress
        Of each maker in turn.

    Returns
    -------
    Inspection

    Raises
    ------
    InvalidImageError
        If the two images do not belong together (see
        :func:`~lowdose.trust.grounds.ground`), or nothing could be made.
    ParameterError
        If a maker is not known (that of true errors without the truth is none), a
        diameter is given without a pixel size, or the denoiser makes another image of
        the noisy one than the one given.
    Cancelled
        If `should_stop` returned True.
    """
    chosen = _chosen(maps, truth=truth is not None)
    grounds = ground(noisy, denoised, noise=noise)
    caveats = grounds.caveats
    if denoiser is not None and denoiser.needs.frames > 1:
        caveats += (
            f"{denoiser.name!r} sees neighbouring frames, so it cannot be run again on "
            "one frame alone: checks that do so are left out.",
        )
        denoiser = None
    subject = Subject(
        noisy=grounds.frame,
        denoised=single_frame(denoised, "denoised image").replace(
            data=grounds.denoised
        ),
        denoiser=denoiser,
        noise=noise,
        counted=grounds.counted,
        vacuum=None if vacuum is None else np.asarray(vacuum, dtype=bool),
        truth=None if truth is None else single_frame(truth, "truth"),
        diameter_nm=diameter_nm,
        repeats=repeats,
        seed=seed,
        options=options,
    )
    if denoiser is not None:
        yield Progress(stage="check", done=0, total=1)
        _check_denoiser(subject, denoiser, should_stop)
    made: list[Finding] = []
    numbers: dict[str, Mapping[str, Any]] = {}
    left_out: dict[str, str] = {}
    for maker in chosen:
        if maker.needs_denoiser and denoiser is None:
            left_out[maker.name] = "It runs the denoiser again, which cannot be done."
            continue
        try:
            finding = yield from maker.make(subject, should_stop)
        except InvalidImageError as error:
            left_out[maker.name] = str(error)
            continue
        made.append(finding)
        if finding.numbers:
            numbers[maker.name] = finding.numbers
    if not made:
        reasons = " ".join(f"{name}: {why}" for name, why in left_out.items())
        msg = f"No map could be made. {reasons}"
        raise InvalidImageError(msg)
    return Inspection(
        subject=subject,
        maps=tuple(one for finding in made for one in finding.maps),
        verdicts=tuple(one for finding in made for one in finding.verdicts),
        numbers=numbers,
        left_out=left_out,
        caveats=caveats,
        evidence=next((f.evidence for f in made if f.evidence is not None), None),
    )


def inspect(
    noisy: Micrograph | ArrayLike,
    denoised: Micrograph | ArrayLike,
    denoiser: Denoiser | None = None,
    *,
    noise: NoiseModel | None = None,
    maps: Sequence[str | MapMaker] | None = None,
    vacuum: ArrayLike | None = None,
    truth: Micrograph | ArrayLike | None = None,
    diameter_nm: float | None = None,
    repeats: int = 16,
    seed: int = 0,
    options: DenoiseOptions = DEFAULTS,
    should_stop: ShouldStop = never,
) -> Inspection:
    """Make every map of a denoised image; see :func:`iter_inspect`."""
    return finish(
        iter_inspect(
            noisy,
            denoised,
            denoiser,
            noise=noise,
            maps=maps,
            vacuum=vacuum,
            truth=truth,
            diameter_nm=diameter_nm,
            repeats=repeats,
            seed=seed,
            options=options,
            should_stop=should_stop,
        )
    )


def _chosen(names: Sequence[str | MapMaker] | None, *, truth: bool) -> list[MapMaker]:
    known = {m.name: m for m in MAKERS if truth or not m.needs_truth}
    if names is None:
        return list(known.values())
    chosen = []
    for name in dict.fromkeys(names):
        if isinstance(name, MapMaker):
            chosen.append(name)
        elif name in known:
            chosen.append(known[name])
        else:
            msg = f"There is no map {name!r}. {did_you_mean(name, known)}"
            raise ParameterError(msg)
    return chosen


def _check_denoiser(
    subject: Subject, denoiser: Denoiser, should_stop: ShouldStop
) -> None:
    """Refuse a denoiser that did not make this image."""
    noisy, denoised = np.asarray(subject.noisy), np.asarray(subject.denoised)
    again = denoise_counts(
        noisy,
        denoiser,
        subject.noisy,
        options=subject.options,
        should_stop=should_stop,
    )
    differ = float(np.sqrt(np.nanmean((again - denoised) ** 2)))
    removed = float(np.sqrt(np.nanmean((noisy - denoised) ** 2)))
    if differ > _SAME * removed:
        msg = (
            f"{denoiser.name} makes another image of the noisy one than the denoised "
            f"one given: they differ by {differ:.3g} counts rms, where {removed:.3g} "
            "were taken away. Give the denoiser, preset and values that made it."
        )
        raise ParameterError(msg)
