"""The jobs of the widget "Batch": denoise files into a folder, and open one of them.

Requests are frozen and made on the main thread; nothing in them is a widget or a
layer. The work itself, with its manifests and locks, is :mod:`lowdose.batch`.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from lowdose.progress import Progress, ShouldStop
from napari_lowdose._batch_plan import forget_plan, write_plan
from napari_lowdose._display import display_limits, extremes
from napari_lowdose._layers import LayerData, micrograph_to_layer
from napari_lowdose._provenance import METADATA_KEY

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from lowdose.batch import FileOptions, FileStatus, Job, Outcome
    from lowdose.inference import DenoiseOptions
    from lowdose.parameters import Value
    from napari_lowdose._batch_plan import BatchPlan

#: Least time between two reports of the same file [s]: tiles may come by the thousand.
_REPORT_EVERY: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchProgress(Progress):
    """Where a batch stands; ``frame + 1`` of ``frames`` files are finished.

    Parameters
    ----------
    status : FileStatus or None
        The file that there is news of; None while the denoiser is loaded.
    """

    status: FileStatus | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BatchRequest:
    """Files to denoise into a folder, one after the other.

    Parameters
    ----------
    plan : BatchPlan
        The files, the folder, and what denoises them.
    jobs : tuple of Job
        What that comes to.
    options : DenoiseOptions
        Where and in what pieces to compute.
    files : FileOptions
        How to treat results that are there, and unfinished ones.
    """

    plan: BatchPlan
    jobs: tuple[Job, ...]
    options: DenoiseOptions
    files: FileOptions

    def run(
        self, should_stop: ShouldStop
    ) -> Generator[BatchProgress, None, list[Outcome]]:
        """Denoise the files, yielding news of them; one that fails stops no other.

        With ``files.resume`` the plan lies in the folder of the results until all
        files are done or failed, so that the batch can be gone on with later.
        """
        from lowdose.batch import DenoiserSpec, Overall, denoise_files

        yield BatchProgress(stage="load", done=0, total=0, frames=len(self.jobs))
        spec = DenoiserSpec(name=self.plan.denoiser, values=dict(self.plan.values))
        denoiser = spec.load()
        if self.files.resume:
            write_plan(self.plan)
        overall, last = Overall(self.jobs), 0.0
        statuses = denoise_files(
            self.jobs,
            spec,
            options=self.options,
            files=self.files,
            should_stop=should_stop,
            denoiser=denoiser,
        )
        with closing(statuses):
            while True:
                try:
                    status = next(statuses)
                except StopIteration as end:
                    outcomes: list[Outcome] = end.value
                    break
                progress = overall.with_file(status)
                now = time.perf_counter()
                if status.progress is None or now - last >= _REPORT_EVERY:
                    last = now
                    yield _with_status(progress, status)
        if len(outcomes) == len(self.jobs):
            forget_plan(self.plan.folder)
        return outcomes


def _with_status(progress: Progress, status: FileStatus) -> BatchProgress:
    values = {field.name: getattr(progress, field.name) for field in fields(Progress)}
    return BatchProgress(**values, status=status)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRequest:
    """A file of a batch to look at, with its result where there is one.

    Parameters
    ----------
    job : Job
        The file and its result.
    denoiser : str
        Name of the denoiser.
    values : mapping
        Its parameters.
    result : bool
        Whether there is a result.
    """

    job: Job
    denoiser: str
    values: Mapping[str, Value]
    result: bool

    def run(self, _should_stop: ShouldStop) -> Generator[None, None, Opened]:
        """Read both as far as a layer needs: stacks stay in their files."""
        from lowdose.io import read

        yield
        noisy = micrograph_to_layer(read(self.job.source))
        noisy[1]["name"] = self.job.source.stem
        if not self.result:
            return Opened(request=self, noisy=noisy, clean=None)
        yield
        micrograph = read(self.job.target)
        clean = micrograph_to_layer(micrograph)
        state: dict[str, Any] = clean[1]
        state["name"] = f"{self.job.source.stem} ({self.denoiser})"
        first = micrograph.frame(0)
        reference = noisy[1].get("contrast_limits") or extremes(first) or (0.0, 1.0)
        state["contrast_limits"] = display_limits(first, reference)
        state["metadata"][METADATA_KEY] |= {
            "source": self.job.source.stem,
            "denoiser": self.denoiser,
            "parameters": dict(self.values),
            "complete": True,
        }
        return Opened(request=self, noisy=noisy, clean=clean)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Opened:
    """What was read of a file and its result.

    Parameters
    ----------
    request : OpenRequest
        What was asked for.
    noisy : tuple
        The layer of the input, as for ``Layer.create``.
    clean : tuple or None
        That of the result; its source is named when the first is a layer.
    """

    request: OpenRequest
    noisy: LayerData
    clean: LayerData | None
