"""Running a protocol: tuning, denoising and scoring, resumable, in any processes."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import lowdose
from lowdose.benchmark.found import Found
from lowdose.benchmark.processes import work
from lowdose.benchmark.results import Results, opened, write_pictures
from lowdose.benchmark.tuning import tune, tune_blindly
from lowdose.errors import Cancelled, LowDoseError
from lowdose.inference import DenoiseOptions, denoise
from lowdose.progress import Clock, Progress, never

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from lowdose.batch.spec import DenoiserSpec
    from lowdose.benchmark.methods import Method
    from lowdose.benchmark.report import Report
    from lowdose.benchmark.study import Image, Item, Scene, Study
    from lowdose.denoiser import Denoiser
    from lowdose.micrograph import Micrograph
    from lowdose.progress import ShouldStop

#: Arithmetic is the same everywhere, so that results are.
_DEFAULTS = DenoiseOptions(precision="float32")


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
        Go on with what is in the folder.
    """

    methods: Sequence[Method]
    options: DenoiseOptions = _DEFAULTS
    workers: int = 1
    resume: bool = False


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
        If a denoiser cannot be loaded.
    OutOfMemoryError
        If a worker was ended by the system.
    Cancelled
        If `should_stop` said so. What is finished is kept.
    """
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
        return study.report(found)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneJob:
    """Tunes a filter for one level.

    Parameters
    ----------
    study : Study
        Has the scenes to tune on.
    """

    study: Study

    def run(
        self, task: tuple[Method, str]
    ) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        """Yield label, level and the parameters found."""
        method, level = task
        assert method.spec is not None
        scenes = self.study.tuning_scenes(level)
        yield method.label, level, tune(method.spec, scenes)


@dataclass(frozen=True, slots=True, kw_only=True)
class One:
    """What was found about one method on one item.

    Parameters
    ----------
    item, label : str
        Of what.
    rows : sequence of mapping
        As in :class:`~lowdose.benchmark.study.Scores`.
    sums : mapping
        As there.
    pixels : int
        Of the item.
    """

    item: str
    label: str
    rows: Sequence[Mapping[str, Any]]
    sums: Mapping[str, NDArray[np.float64]]
    pixels: int


@dataclass(slots=True, kw_only=True)
class ScoreJob:
    """Denoises and scores an item with several methods.

    Parameters
    ----------
    study : Study
        Has the scenes, and scores.
    tuned : mapping
        Label, then level, to tuned parameters.
    options : DenoiseOptions
        Where to compute.
    folder : Path
        Where pictures are kept.
    """

    study: Study
    tuned: Mapping[str, Mapping[str, Mapping[str, Any]]]
    options: DenoiseOptions
    folder: Path
    _loaded: dict[str, Denoiser] = field(default_factory=dict)

    def run(self, task: tuple[Item, Sequence[Method]]) -> Iterator[One]:
        """Yield what was found, method by method."""
        item, methods = task
        scene = self.study.scene(item)
        for method in methods:
            yield self._score(item, scene, method)

    def _score(self, item: Item, scene: Scene, method: Method) -> One:
        sums: Mapping[str, NDArray[np.float64]] = {}
        rows: Sequence[Mapping[str, Any]]
        try:
            options = self.options
            if method.as_published:
                options = replace(options, keep_mean=False)
            timed = _Timed(self._denoiser(item, scene, method), options)
            scores = self.study.score(item, scene, timed, method)
        except Cancelled:
            raise
        except LowDoseError as error:
            rows = [{"error": f"{type(error).__name__}: {error}"}]
        else:
            rows = [{"seconds": timed.seconds, **row} for row in scores.rows]
            sums = scores.sums
            if item.pictured:
                write_pictures(self.folder, item.key, method.label, scores.pictures)
        pixels = int(scene.truth.size)
        return One(
            item=item.key, label=method.label, rows=rows, sums=sums, pixels=pixels
        )

    def _denoiser(self, item: Item, scene: Scene, method: Method) -> Denoiser | None:
        if method.spec is None:
            return None
        spec: DenoiserSpec = method.spec
        if method.tuning == "thinned":
            return method.with_values(tune_blindly(spec, scene.counts)).load()
        if method.tuning == "tuned":
            spec = method.with_values(self.tuned[method.label][item.level])
        if spec.key not in self._loaded:
            self._loaded[spec.key] = spec.load()
        return self._loaded[spec.key]


class _Timed:
    """A denoiser as a function, which remembers how long its first call took."""

    def __init__(self, denoiser: Denoiser | None, options: DenoiseOptions) -> None:
        self.seconds = 0.0
        self._called = False
        self._denoiser, self._options = denoiser, options

    def __call__(self, counts: Micrograph) -> Image:
        import numpy as np

        begun = time.perf_counter()
        if self._denoiser is None:
            result = np.asarray(counts, dtype=np.float32)
        else:
            result = denoise(counts, self._denoiser, options=self._options).data
        if not self._called:
            self._called, self.seconds = True, time.perf_counter() - begun
        return result
