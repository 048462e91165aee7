"""Every check of a denoised image, by name."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from lowdose.progress import Progress
from lowdose.trust.bootstrap import iter_bootstrap
from lowdose.trust.deviance import DevianceOptions, iter_local_deviance
from lowdose.trust.error_maps import errors_against
from lowdose.trust.evidence import EvidenceOptions, iter_column_evidence
from lowdose.trust.evidence_verdicts import (
    column_facts,
    deviance_verdict,
    evidence_verdict,
)
from lowdose.trust.halves import iter_halves
from lowdose.trust.pure import iter_risk
from lowdose.trust.repeats import check_stop
from lowdose.trust.residuals import iter_residual_checks
from lowdose.trust.subject import Finding, MapMaker, Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from lowdose.progress import ShouldStop
    from lowdose.trust.maps import TrustMap


class _Mapped(Protocol):
    """What has maps."""

    @property
    def maps(self) -> tuple[TrustMap, ...]: ...


def _errors(
    subject: Subject, should_stop: ShouldStop
) -> Generator[Progress, None, Finding]:
    assert subject.truth is not None
    yield Progress(stage="errors", done=0, total=1)
    check_stop(should_stop)
    found = errors_against(subject.denoised, subject.truth)
    return Finding(maps=found.maps)


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


def _again(
    iterate: Callable[..., Generator[Progress, None, _Mapped]],
    subject: Subject,
    should_stop: ShouldStop,
    **more: Any,
) -> Generator[Progress, None, Finding]:
    """Make maps by denoising again what is like the noisy image."""
    assert subject.denoiser is not None
    found = yield from iterate(
        subject.noisy,
        subject.denoised,
        subject.denoiser,
        noise=subject.noise,
        seed=subject.seed,
        options=subject.options,
        should_stop=should_stop,
        **more,
    )
    return Finding(maps=found.maps)


def _bootstrap(
    subject: Subject, should_stop: ShouldStop
) -> Generator[Progress, None, Finding]:
    return _again(iter_bootstrap, subject, should_stop, repeats=subject.repeats)


def _evidence(
    subject: Subject, should_stop: ShouldStop
) -> Generator[Progress, None, Finding]:
    found = yield from iter_column_evidence(
        subject.noisy,
        subject.denoised,
        denoiser=subject.splitter,
        vacuum=subject.vacuum,
        noise=subject.noise,
        options=EvidenceOptions(seed=subject.seed),
        denoise_options=subject.options,
        should_stop=should_stop,
    )
    return Finding(
        maps=found.maps,
        verdicts=(evidence_verdict(found),),
        numbers=column_facts(found),
        evidence=found,
    )


def _deviance(
    subject: Subject, should_stop: ShouldStop
) -> Generator[Progress, None, Finding]:
    splitter = subject.splitter
    found = yield from iter_local_deviance(
        subject.noisy,
        subject.denoised,
        denoiser=splitter,
        noise=subject.noise,
        options=DevianceOptions(seed=subject.seed, diameter_nm=subject.diameter_nm),
        denoise_options=subject.options,
        should_stop=should_stop,
    )
    verdict = deviance_verdict(found, independent=splitter is not None)
    return Finding(maps=found.maps, verdicts=(verdict,))


#: Everything that is made, in the order in which it is shown.
MAKERS: Final[list[MapMaker]] = [
    MapMaker(
        name="errors",
        title="Errors against the truth",
        needs_denoiser=False,
        needs_truth=True,
        make=_errors,
    ),
    MapMaker(
        name="bootstrap",
        title="Expected error by denoising again",
        needs_denoiser=True,
        make=_bootstrap,
    ),
    MapMaker(
        name="evidence",
        title="Evidence for every atomic column",
        needs_denoiser=False,
        make=_evidence,
    ),
    MapMaker(
        name="deviance",
        title="Where the counts contradict the image",
        needs_denoiser=False,
        make=_deviance,
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
        make=partial(_again, iter_risk),
    ),
    MapMaker(
        name="halves",
        title="Agreement of two halves of the electrons",
        needs_denoiser=True,
        make=partial(_again, iter_halves),
    ),
]
