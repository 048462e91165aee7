"""All that can be said of one denoised image, map by map.

What there is to be made is a plain list, :data:`MAKERS`; appending a
:class:`MapMaker` to it adds its maps to the command line and to the page.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lowdose.errors import InvalidImageError, ParameterError, did_you_mean
from lowdose.progress import Progress, ShouldStop, never
from lowdose.trust.bootstrap import iter_bootstrap
from lowdose.trust.grounds import ground, single_frame
from lowdose.trust.halves import iter_halves
from lowdose.trust.pure import iter_risk
from lowdose.trust.repeats import DEFAULTS, denoise_counts, finish
from lowdose.trust.residuals import iter_residual_checks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike

    from lowdose.denoiser import Denoiser
    from lowdose.inference import DenoiseOptions
    from lowdose.micrograph import Micrograph
    from lowdose.noise import NoiseModel
    from lowdose.trust.maps import TrustMap
    from lowdose.trust.residual_verdicts import Verdict

#: How far a denoised image may be from what the denoiser makes of the noisy one,
#: relative to what was taken away: rounding and precision, not another denoiser.
_SAME: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is inspected.

    Parameters
    ----------
    noisy, denoised : Micrograph, shape (H, W)
        Counts of one frame, as recorded and denoised; checked to belong together.
    denoiser : Denoiser or None
        What denoised it, where it is known.
    noise : NoiseModel
        Noise of the detector.
    repeats : int
        How often a map may draw new noise.
    seed : int
        Seed of all that is random.
    options : DenoiseOptions
        Where and in what pieces to denoise.
    """

    noisy: Micrograph
    denoised: Micrograph
    denoiser: Denoiser | None
    noise: NoiseModel | None
    repeats: int
    seed: int
    options: DenoiseOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one maker found.

    Parameters
    ----------
    maps : tuple of TrustMap
        Its maps.
    verdicts : tuple of Verdict
        Its sentences.
    numbers : mapping
        Its numbers beside those of the maps, as JSON types.
    """

    maps: tuple[TrustMap, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    numbers: Mapping[str, Any] = field(default_factory=dict)


Make = Callable[[Subject, ShouldStop], Generator[Progress, None, Finding]]


@dataclass(frozen=True, slots=True, kw_only=True)
class MapMaker:
    """Something that makes maps of a denoised image.

    Parameters
    ----------
    name : str
        For the command line, such as ``"bootstrap"``.
    title : str
        For people.
    needs_denoiser : bool
        Whether it has to run the denoiser again.
    make : callable
        Takes a :class:`Subject` and a `should_stop`, yields
        :class:`~lowdose.progress.Progress` and returns a :class:`Finding`. It raises
        :class:`~lowdose.errors.InvalidImageError` where it cannot be made of these
        data; the other makers then go on.
    """

    name: str
    title: str
    needs_denoiser: bool
    make: Make


@dataclass(frozen=True, slots=True, kw_only=True)
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
    """

    subject: Subject
    maps: tuple[TrustMap, ...]
    verdicts: tuple[Verdict, ...]
    numbers: Mapping[str, Mapping[str, Any]]
    left_out: Mapping[str, str]
    caveats: tuple[str, ...]


def iter_inspect(
    noisy: Micrograph | ArrayLike,
    denoised: Micrograph | ArrayLike,
    denoiser: Denoiser | None = None,
    *,
    noise: NoiseModel | None = None,
    maps: Sequence[str] | None = None,
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
        What denoised it. Without it only maps that need none are made.
    noise : NoiseModel, optional
        Noise of the detector; recognised or estimated where it is not given.
    maps : sequence of str, optional
        Names of makers (see :data:`MAKERS`). None: all.
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
        If a maker is not known, or the denoiser makes another image of the noisy one
        than the one given.
    Cancelled
        If `should_stop` returned True.
    """
    chosen = _chosen(maps)
    grounds = ground(noisy, denoised, noise=noise)
    subject = Subject(
        noisy=grounds.frame,
        denoised=single_frame(denoised, "denoised image").replace(
            data=grounds.denoised
        ),
        denoiser=denoiser,
        noise=noise,
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
            left_out[maker.name] = "It runs the denoiser again, which was not named."
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
        caveats=grounds.caveats,
    )


def inspect(
    noisy: Micrograph | ArrayLike,
    denoised: Micrograph | ArrayLike,
    denoiser: Denoiser | None = None,
    *,
    noise: NoiseModel | None = None,
    maps: Sequence[str] | None = None,
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
            repeats=repeats,
            seed=seed,
            options=options,
            should_stop=should_stop,
        )
    )


def _chosen(names: Sequence[str] | None) -> list[MapMaker]:
    known = {maker.name: maker for maker in MAKERS}
    if names is None:
        return list(known.values())
    for name in names:
        if name not in known:
            msg = f"There is no map {name!r}. {did_you_mean(name, known)}"
            raise ParameterError(msg)
    return [known[name] for name in dict.fromkeys(names)]


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


def _residuals(
    subject: Subject, should_stop: ShouldStop
) -> Generator[Progress, None, Finding]:
    checks = yield from iter_residual_checks(
        subject.noisy,
        subject.denoised,
        subject.denoiser,
        noise=subject.noise,
        replicates=max(4, subject.repeats // 2),
        seed=subject.seed,
        options=subject.options,
        should_stop=should_stop,
    )
    return Finding(maps=checks.maps, verdicts=checks.verdicts)


def _bootstrap(
    subject: Subject, should_stop: ShouldStop
) -> Generator[Progress, None, Finding]:
    assert subject.denoiser is not None
    found = yield from iter_bootstrap(
        subject.noisy,
        subject.denoised,
        subject.denoiser,
        noise=subject.noise,
        repeats=subject.repeats,
        seed=subject.seed,
        options=subject.options,
        should_stop=should_stop,
    )
    return Finding(maps=found.maps)


def _risk(
    subject: Subject, should_stop: ShouldStop
) -> Generator[Progress, None, Finding]:
    assert subject.denoiser is not None
    found = yield from iter_risk(
        subject.noisy,
        subject.denoised,
        subject.denoiser,
        noise=subject.noise,
        seed=subject.seed,
        options=subject.options,
        should_stop=should_stop,
    )
    return Finding(maps=found.maps)


def _halves(
    subject: Subject, should_stop: ShouldStop
) -> Generator[Progress, None, Finding]:
    assert subject.denoiser is not None
    found = yield from iter_halves(
        subject.noisy,
        subject.denoised,
        subject.denoiser,
        noise=subject.noise,
        seed=subject.seed,
        options=subject.options,
        should_stop=should_stop,
    )
    return Finding(maps=found.maps)


#: Everything that is made, in the order in which it is shown.
MAKERS: Final[list[MapMaker]] = [
    MapMaker(
        name="bootstrap",
        title="Expected error by denoising again",
        needs_denoiser=True,
        make=_bootstrap,
    ),
    MapMaker(
        name="residuals",
        title="What was taken away",
        needs_denoiser=False,
        make=_residuals,
    ),
    MapMaker(
        name="risk",
        title="Unbiased estimate of the error",
        needs_denoiser=True,
        make=_risk,
    ),
    MapMaker(
        name="halves",
        title="Agreement of two halves of the electrons",
        needs_denoiser=True,
        make=_halves,
    ),
]
