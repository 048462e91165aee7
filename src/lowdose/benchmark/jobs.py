"""What a process of a benchmark does: tune a filter, or denoise and score an item."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lowdose.benchmark.results import write_pictures
from lowdose.benchmark.tuning import tune, tune_blindly
from lowdose.errors import Cancelled, LowDoseError
from lowdose.inference import DenoiseOptions, denoise

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from lowdose.batch.spec import DenoiserSpec
    from lowdose.benchmark.methods import Method
    from lowdose.benchmark.study import Image, Item, Scene, Study
    from lowdose.denoiser import Denoiser
    from lowdose.micrograph import Micrograph


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
        yield (
            method.label,
            level,
            tune(method.spec, scenes, score=self.study.tuned_for),
        )


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
        begun = time.perf_counter()
        if self._denoiser is None:
            result = np.asarray(counts, dtype=np.float32)
        else:
            result = denoise(counts, self._denoiser, options=self._options).data
        if not self._called:
            self._called, self.seconds = True, time.perf_counter() - begun
        return result
