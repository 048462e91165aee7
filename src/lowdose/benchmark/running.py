"""Running a protocol: tuning, denoising and scoring, resumable, in any processes."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import lowdose
from lowdose.benchmark.found import Found
from lowdose.benchmark.jobs import ScoreJob, TuneJob
from lowdose.benchmark.processes import work
from lowdose.benchmark.report import Words
from lowdose.benchmark.results import Results, opened
from lowdose.errors import Cancelled
from lowdose.inference import DenoiseOptions
from lowdose.inference.device import resolve_device
from lowdose.progress import Clock, Progress, never

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from lowdose.benchmark.methods import Method
    from lowdose.benchmark.report import Block, Report
    from lowdose.benchmark.study import Study
    from lowdose.progress import ShouldStop

#: Arithmetic is the same everywhere, so that results are.
_DEFAULTS = DenoiseOptions(precision="float32")

#: Raised where scores, the choice of images or tuning change: a run of before cannot be
#: gone on with.
_SCORING: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How a protocol is run.

    Parameters
    ----------
    methods : sequence of Method
        What is compared, of :func:`~lowdose.benchmark.methods.parse_methods`.
    options : DenoiseOptions, optional
        Where to compute; in float32 by default.
    workers : int, optional
        Processes, each with one thread. One: this process, with all threads.
    resume : bool, optional
        Go on with what is in the folder. What failed is tried again.
    command : str, optional
        The command that asked for it, for the report.
    """

    methods: Sequence[Method]
    options: DenoiseOptions = _DEFAULTS
    workers: int = 1
    resume: bool = False
    command: str = ""


def iter_benchmark(
    study: Study, folder: Path, run: Run, *, should_stop: ShouldStop = never
) -> Generator[Progress, None, Report]:
    """Run a protocol, step by step.

    Every result, of one method on one item, is written to `folder` when it is there,
    and is not made again when the run is resumed. A method that fails on an item has
    a row that says so, and the run goes on.

    Parameters
    ----------
    study : Study
        The protocol, of :func:`~lowdose.benchmark.protocols.build`.
    folder : Path
        For results and report; made where it is not there.
    run : Run
        Methods, device, workers.
    should_stop : callable, optional
        Asked after every result.

    Yields
    ------
    Progress
        In results, of those that are still to be made; ``stage`` is ``"tune"`` or
        ``"benchmark"``.

    Returns
    -------
    Report
        Of everything found; not yet written.

    Raises
    ------
    OutputError
        If the folder has other results, or cannot be written.
    LowDoseError
        If a denoiser cannot be loaded, or the device is not there.
    OutOfMemoryError
        If a worker was ended by the system.
    Cancelled
        If `should_stop` said so. What is finished is kept.
    """
    if run.options.device != "auto":
        resolve_device(run.options.device)
    with opened(folder, _setup(study, run), resume=run.resume) as results:
        yield from _tune_all(study, run, results, should_stop)
        yield from _score_all(study, run, results, should_stop)
        found = Found(
            methods=run.methods,
            items=study.items,
            rows=_all_rows(study, run, results),
            tuned={m.label: results.tuned.get(m.label, {}) for m in run.methods},
            pictures=results.pictures,
            sums=results.sums,
        )
        results.flush()
        return _headed(study.report(found), run)


def _headed(report: Report, run: Run) -> Report:
    """Return a report that begins with what is needed to make it again."""
    first: list[Block] = [
        Words(text=f"Made with napari-lowdose {lowdose.__version__}.")
    ]
    if run.command:
        first.append(Words(text=run.command, code=True))
    return replace(report, blocks=(*first, *report.blocks))


def _setup(study: Study, run: Run) -> dict[str, Any]:
    denoisers: dict[str, Any] = {}
    for method in run.methods:
        if method.spec is None:
            denoisers[method.label] = {}
        else:
            described = method.spec.load().describe()
            if method.tuning:
                kept = dict(method.spec.values)
                described = {"name": method.spec.name, method.tuning: True, **kept}
            denoisers[method.label] = described
    return {
        "protocol": study.name,
        "software": f"napari-lowdose {lowdose.__version__}",
        "scoring": _SCORING,
        "computing": run.options.to_dict(),
        **study.identity,
        "denoisers": denoisers,
    }


def _tune_all(
    study: Study, run: Run, results: Results, should_stop: ShouldStop
) -> Generator[Progress, None, None]:
    levels = list(dict.fromkeys(item.level for item in study.items))
    tasks = [
        (method, level)
        for method in run.methods
        if method.tuning == "tuned"
        for level in levels
        if level not in results.tuned.get(method.label, {})
    ]
    if not tasks:
        return
    clock = Clock()
    yield Progress(stage="tune", done=0, total=len(tasks))
    job = TuneJob(study=study)
    tuning = work(job, tasks, workers=run.workers, should_stop=should_stop)
    with closing(tuning):
        for done, (label, level, values) in enumerate(tuning, 1):
            results.add_tuned(label, level, values)
            yield Progress(
                stage="tune", done=done, total=len(tasks), seconds=clock.seconds
            )
    if should_stop():
        msg = "Stopped while filters were tuned. What is finished is kept."
        raise Cancelled(msg)


def _score_all(
    study: Study, run: Run, results: Results, should_stop: ShouldStop
) -> Generator[Progress, None, None]:
    tasks = []
    for item in study.items:
        todo = [m for m in run.methods if (item.key, m.label) not in results.done]
        if todo:
            tasks.append((item, todo))
    total = sum(len(methods) for _, methods in tasks)
    everything = len(study.items) * len(run.methods)
    there = everything - total
    message = f"{there} of {everything} results are there already." if there else ""
    yield Progress(stage="benchmark", done=0, total=total, message=message)
    job = ScoreJob(
        study=study,
        tuned={label: dict(levels) for label, levels in results.tuned.items()},
        options=run.options,
        folder=results.folder,
    )
    clock, pixels = Clock(), 0
    scoring = work(job, tasks, workers=run.workers, should_stop=should_stop)
    with closing(scoring):
        for done, one in enumerate(scoring, 1):
            results.add(one.item, one.label, one.rows, one.sums)
            pixels += one.pixels
            yield Progress(
                stage="benchmark",
                done=done,
                total=total,
                pixels=pixels,
                seconds=clock.seconds,
            )
    missing = sum(
        (item.key, method.label) not in results.done
        for item, methods in tasks
        for method in methods
    )
    if missing:
        results.flush()
        msg = (
            f"Stopped with {everything - missing} of {everything} results made. They "
            f"are kept in {results.folder}; resume to go on."
        )
        raise Cancelled(msg)


def _all_rows(study: Study, run: Run, results: Results) -> list[dict[str, Any]]:
    return [
        {"item": item.key, "denoiser": method.label, **item.record, **row}
        for item in study.items
        for method in run.methods
        for row in results.done[item.key, method.label]
    ]
