"""Evidence for every atomic column, from the counts that the denoiser was given.

What is tested, with which data, and what the numbers mean is in ``docs/evidence.md``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from scipy.spatial import cKDTree

from lowdose.errors import Cancelled, InvalidImageError
from lowdose.inference.engine import iter_denoise
from lowdose.inference.options import DenoiseOptions
from lowdose.progress import Clock, Progress, ShouldStop, never
from lowdose.trust.column_test import (
    LocalTest,
    VacuumTest,
    faintness,
    local_test,
    measure_height,
    vacuum_test,
)
from lowdose.trust.columns import Columns, find_columns, in_electrons
from lowdose.trust.counting import Counted, compare_counts
from lowdose.trust.evidence_maps import evidence_maps
from lowdose.trust.evidence_result import ColumnEvidence, EvidenceOptions, Verdict
from lowdose.trust.likelihood import mean_likelihood_ratio
from lowdose.trust.multiplicity import benjamini_hochberg, combine_splits, holm
from lowdose.trust.vacuum import Vacuum, drawn_vacuum, find_vacuum

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import ArrayLike, NDArray

    from lowdose.denoiser import Denoiser
    from lowdose.micrograph import Micrograph
    from lowdose.noise import NoiseModel

__all__ = [
    "ColumnEvidence",
    "EvidenceOptions",
    "column_evidence",
    "iter_column_evidence",
]

#: From here on it is said that columns are shown too faint.
_FAINT: Final = 1.5
#: Columns tested between two reports of progress.
_BATCH: Final = 16

_SAME_COUNTS: Final = (
    "The columns were chosen on an image made of the same counts that test them. For a "
    "column that the denoiser made of noise, p-values are then too small and evidence "
    "too large; give the denoiser, so that it finds columns on one part of the "
    "electrons and they are tested on the other."
)
_NO_VACUUM: Final = (
    "There is no vacuum in view, so columns were tested against their own surroundings "
    "only: "
)


_DEFAULTS: Final = EvidenceOptions()


def iter_column_evidence(
    noisy: Micrograph | ArrayLike,
    denoised: Micrograph | ArrayLike,
    *,
    denoiser: Denoiser | str | None = None,
    columns: Columns | None = None,
    vacuum: ArrayLike | None = None,
    noise: NoiseModel | None = None,
    options: EvidenceOptions = _DEFAULTS,
    denoise_options: DenoiseOptions | None = None,
    should_stop: ShouldStop = never,
) -> Generator[Progress, None, ColumnEvidence]:
    """Test every column of a denoised image on the noisy counts, step by step.

    Parameters
    ----------
    noisy : Micrograph or array_like, shape (H, W)
        Counts as the detector recorded them.
    denoised : Micrograph or array_like, shape (H, W)
        What a denoiser made of them, in the same counts.
    denoiser : Denoiser or str, optional
        What made it. With it the electrons are split at random: it denoises one
        part, on which columns are found, and the other tests them. Without it the
        test is valid for columns that were not chosen on these counts.
    columns : Columns, optional
        The columns of `denoised`. Found with the defaults of
        :func:`~lowdose.trust.columns.find_columns` without them.
    vacuum : array_like, shape (H, W), bool, optional
        The region of vacuum. Without it one is searched for, and where there is
        none, columns are tested against their surroundings only.
    noise : NoiseModel, optional
        Gain, offset and read noise. Recognised or estimated without it.
    options : EvidenceOptions, optional
        Level, splits and seed.
    denoise_options : DenoiseOptions, optional
        Where the denoiser computes.
    should_stop : callable, optional
        Asked between columns, and by the denoiser.

    Yields
    ------
    Progress

    Returns
    -------
    ColumnEvidence

    Raises
    ------
    InvalidImageError
        If the images cannot be compared (see
        :func:`~lowdose.trust.counting.compare_counts`), no columns are found, or,
        with a denoiser, the counts are not whole electrons.
    ParameterError
        If the drawn vacuum does not fit.
    Cancelled
        If `should_stop` said so.
    """
    clock = Clock()
    rounds = 1 if denoiser is None else options.splits
    yield Progress(stage="find columns", done=0, total=rounds)
    counted = compare_counts(noisy, denoised, noise=noise)
    found = columns
    if found is None:
        filled = np.where(
            counted.valid, counted.rate, counted.rate[counted.valid].mean()
        )
        found = find_columns(counted.frame.replace(data=filled))
    else:
        found = in_electrons(found, counted.model)
        if found.shape != counted.electrons.shape:
            msg = (
                f"The columns are those of an image of {found.shape} px, this one has "
                f"{counted.electrons.shape}. Find them on this denoised image."
            )
            raise InvalidImageError(msg)
    region, caveats = _vacuum(counted, found, vacuum)
    tests: list[_Tests] = []
    rng = np.random.default_rng(options.seed)
    for split in range(rounds):
        if denoiser is None:
            testing = counted
            claims: Columns | None = found
            match = np.arange(len(found))
        else:
            first, testing = counted.thinned(options.share, rng)
            image = yield from _denoised(first, denoiser, denoise_options, should_stop)
            # What the first part claims of the second: the same, at its dose.
            rate = first.with_rate(image).rate / options.share
            testing = replace(testing, rate=rate * (1 - options.share))
            claims, match = _claims(testing, found)
        tests.append(
            (
                yield from _test(
                    testing, claims, match, region, clock, split, rounds, should_stop
                )
            )
        )
    return _collect(counted, found, region, tests, options, caveats, denoiser)


def column_evidence(
    noisy: Micrograph | ArrayLike, denoised: Micrograph | ArrayLike, **arguments: Any
) -> ColumnEvidence:
    """Test every column; see :func:`iter_column_evidence`, which this runs."""
    steps = iter_column_evidence(noisy, denoised, **arguments)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            evidence: ColumnEvidence = stop.value
            return evidence


def _stop_if_asked(should_stop: ShouldStop) -> None:
    if should_stop():
        msg = "Stopped while testing columns."
        raise Cancelled(msg)


_Tests = dict[str, "NDArray[np.float64]"]


def _vacuum(
    counted: Counted, columns: Columns, drawn: ArrayLike | None
) -> tuple[Vacuum | None, tuple[str, ...]]:
    if drawn is not None:
        region = drawn_vacuum(counted, columns, drawn)
        if region.confidence < 0.5:
            return region, (
                f"The drawn vacuum is not flat or very small (confidence "
                f"{region.confidence:.2f}); evidence against it may mislead.",
            )
        return region, ()
    try:
        return find_vacuum(counted, columns), ()
    except InvalidImageError as error:
        return None, (_NO_VACUUM + str(error),)


def _denoised(
    part: Counted,
    denoiser: Denoiser | str,
    options: DenoiseOptions | None,
    should_stop: ShouldStop,
) -> Generator[Progress, None, NDArray[np.float64]]:
    image = yield from iter_denoise(
        part.counts(),
        denoiser,
        options=DenoiseOptions() if options is None else options,
        should_stop=should_stop,
    )
    return np.asarray(image, np.float64)


def _claims(
    testing: Counted, columns: Columns
) -> tuple[Columns | None, NDArray[np.int64]]:
    """Find columns on one part, and say which each of the shown columns is (or -1)."""
    polarity: Literal["bright", "dark"] = (
        "bright" if float(np.median(columns.height)) >= 0 else "dark"
    )
    rate = np.where(testing.valid, testing.rate, testing.rate[testing.valid].mean())
    image = testing.frame.replace(data=rate)
    try:
        claims = find_columns(image, scale_px=columns.scale, polarity=polarity)
    except InvalidImageError:  # this part shows no column: none can be tested
        return None, np.full(len(columns), -1)
    tolerance = 0.5 * (columns.spacing or 4 * columns.scale)
    distance, nearest = cKDTree(claims.positions).query(columns.positions)
    match = np.where(distance <= tolerance, nearest, -1).astype(np.int64)
    return claims, match


def _test(
    testing: Counted,
    claims: Columns | None,
    match: NDArray[np.int64],
    vacuum: Vacuum | None,
    clock: Clock,
    split: int,
    rounds: int,
    should_stop: ShouldStop,
) -> Generator[Progress, None, _Tests]:
    """Test the columns of one split; those that it does not show stay untested."""
    if vacuum is not None:
        rate = float(testing.electrons[vacuum.mask].mean())
        vacuum = replace(vacuum, rate=max(rate, 1e-9))
    heights = []
    for number in range(0 if claims is None else len(claims)):
        _stop_if_asked(should_stop)
        assert claims is not None
        heights.append(measure_height(testing, claims, number))
    factors = faintness(heights)
    results: list[tuple[LocalTest | None, VacuumTest | None]] = []
    for number, at in enumerate(match):
        _stop_if_asked(should_stop)
        if at < 0 or claims is None:
            results.append((None, None))
        else:
            against = (
                None
                if vacuum is None
                else vacuum_test(testing, claims, int(at), vacuum)
            )
            factor = float(factors[at])
            local_result = local_test(testing, claims, int(at), factor=factor)
            results.append((local_result, against))
        if number % _BATCH == 0:
            yield Progress(
                stage="test columns",
                done=split * len(match) + number,
                total=rounds * len(match),
                seconds=clock.seconds,
            )
    nan = float("nan")
    local = [r[0] for r in results]
    by_vacuum = [r[1] for r in results]
    return {
        "faintness": np.array(float(np.median(factors)) if len(factors) else 1.0),
        "found": np.array([t is not None for t in local], np.float64),
        "llr": np.array([t.llr if t else 0.0 for t in local]),
        "p": np.exp([t.log_p if t else 0.0 for t in local]),
        "p_presence": np.exp([t.log_p_presence if t else 0.0 for t in local]),
        "claimed": np.array([t.claimed if t else nan for t in local]),
        "height": np.array([t.height if t else nan for t in local]),
        "height_error": np.array([t.height_error if t else nan for t in local]),
        "expected": np.array([t.expected if t else 0.0 for t in local]),
        "llr_vacuum": np.array(
            [t.llr if t else (0.0 if vacuum else nan) for t in by_vacuum]
        ),
        "p_vacuum": np.exp([t.log_p if t else 0.0 for t in by_vacuum]),
    }


def _collect(
    counted: Counted,
    columns: Columns,
    vacuum: Vacuum | None,
    tests: list[_Tests],
    options: EvidenceOptions,
    caveats: tuple[str, ...],
    denoiser: Denoiser | str | None,
) -> ColumnEvidence:
    independent = denoiser is not None
    # Heights were measured on a part of the electrons.
    dose = 1 - options.share if independent else 1.0
    stacked = {key: np.stack([test[key] for test in tests]) for key in tests[0]}
    average = {
        key: _mean(stacked[key]) / dose for key in ("claimed", "height", "height_error")
    }
    mean = {
        key: stacked[key].mean(0) for key in ("llr", "llr_vacuum", "expected", "found")
    }
    p, p_vacuum, p_presence = (
        combine_splits(stacked[key]) for key in ("p", "p_vacuum", "p_presence")
    )
    q, q_presence = benjamini_hochberg(p), benjamini_hochberg(p_presence)
    verdicts = tuple(
        _verdict(bool(there), bool(gone))
        for there, gone in zip(
            q <= options.level, q_presence <= options.level, strict=True
        )
    )
    if vacuum is None:
        ratios = np.full(len(columns), np.nan)
    else:
        ratios = mean_likelihood_ratio(counted, columns, vacuum.mask)
    caveats = (*counted.caveats, *caveats)
    factor = float(stacked["faintness"].mean())
    if factor > _FAINT:
        caveats += (
            f"The denoised image shows columns about {factor:.1f} times fainter than "
            "the counts do; a column that is there is supposed to be so much higher "
            "than it is shown.",
        )
    if independent:
        caveats += (
            f"Columns were found on {options.share:.0%} of the electrons and tested on "
            f"the others, in {options.splits} random splits: evidence is that of the "
            "tested part, and a column that a part does not show counts as untested.",
        )
    else:
        caveats += (_SAME_COUNTS,)
    return ColumnEvidence(
        columns=columns,
        mean_likelihood_ratio=ratios,
        llr=mean["llr"],
        llr_vacuum=mean["llr_vacuum"],
        p=p,
        p_vacuum=p_vacuum if vacuum is not None else np.full(len(columns), np.nan),
        q=q,
        p_holm=holm(p),
        p_presence=p_presence,
        q_presence=q_presence,
        claimed=average["claimed"],
        height=average["height"],
        height_error=average["height_error"],
        expected=mean["expected"],
        faintness=factor,
        found=mean["found"],
        verdicts=verdicts,
        vacuum=vacuum,
        maps=evidence_maps(
            counted,
            columns,
            vacuum,
            llr=mean["llr"],
            llr_vacuum=mean["llr_vacuum"],
            q=q,
            verdicts=verdicts,
            caveats=caveats,
        ),
        independent=independent,
        caveats=caveats,
    )


def _verdict(there: bool, gone: bool) -> Verdict:
    if there:
        return "supported"
    return "contradicted" if gone else "undecided"


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over splits of what is finite; NaN where nothing is."""
    finite = np.isfinite(values)
    count = finite.sum(0)
    total = np.where(finite, values, 0.0).sum(0)
    return np.asarray(np.where(count, total / np.maximum(count, 1), np.nan))
