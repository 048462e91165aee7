"""Files denoised by the workers of a dask cluster, chunk of frames by chunk of frames.

Workers read the input themselves, from a file system that they share, and send the
denoised frames back; this process alone writes. So any format can be written, a frame
that a worker lost is done again by another, and a run can be resumed as on one machine.
Only a few chunks are under way at a time, so that neither this process nor the
scheduler holds more than those.
"""

from __future__ import annotations

import math
import queue
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from lowdose.batch.chunks import CHUNK_PIXELS, Chunk, ChunkResult, denoise_chunk
from lowdose.batch.single import FileOptions, OpenFile, open_file, worth_keeping
from lowdose.batch.spec import plain
from lowdose.batch.status import FileStatus, Outcome
from lowdose.errors import (
    Cancelled,
    DeviceError,
    LowDoseError,
    MissingExtraError,
    OutOfMemoryError,
)
from lowdose.inference import DenoiseOptions
from lowdose.inference.device import resolve_place
from lowdose.inference.frames import no_finite_pixel
from lowdose.progress import Clock, Progress, never

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from lowdose.batch.jobs import Job
    from lowdose.batch.spec import DenoiserSpec
    from lowdose.denoiser import Denoiser
    from lowdose.progress import ShouldStop

#: How often it is asked whether to stop [s].
_POLL: Final = 0.2
#: How long to wait for a scheduler, for its first worker, and for another one [s].
_PATIENCE: Final = 30.0
#: Chunks under way per thread of the workers: one at work and one waiting.
_PER_THREAD: Final = 2
#: Chunks that a thread of the workers is to get in all, at least.
_CHUNKS_PER_THREAD: Final = 8
#: Pixels below which a chunk is not worth a task.
_LEAST_PIXELS: Final = 2**21
#: Workers that a chunk may end before it is given up, beside dask's own limit.
_RETRIES: Final = 2

_DEFAULTS = DenoiseOptions()
_FILE_DEFAULTS = FileOptions()


def denoise_on_cluster(
    jobs: Sequence[Job],
    spec: DenoiserSpec,
    address: str,
    *,
    options: DenoiseOptions = _DEFAULTS,
    files: FileOptions = _FILE_DEFAULTS,
    should_stop: ShouldStop = never,
    denoiser: Denoiser | None = None,
    patience: float = _PATIENCE,
) -> Generator[FileStatus, None, list[Outcome]]:
    """Denoise files with every worker of a dask cluster.

    Parameters
    ----------
    jobs : sequence of Job
        The files and their results. The inputs must have the same paths on every
        worker; the results are written by this process.
    spec : DenoiserSpec
        What denoises; each worker loads it once, and must have the same model.
    address : str
        Address of the scheduler, such as ``"tcp://host:8786"``.
    options : DenoiseOptions, optional
        Where and in what pieces each worker computes. With device ``"auto"`` each
        takes the best that it has; precision ``"auto"`` is the one of this machine,
        the same for all.
    files : FileOptions, optional
        How to treat the files.
    should_stop : callable, optional
        When it returns True, chunks that wait are taken back and the work ends.
    denoiser : Denoiser, optional
        What `spec` loads, where that is done already.
    patience : float, optional
        How long to wait for the scheduler, for its first worker, and for another one
        when the last is lost [s].

    Yields
    ------
    FileStatus
        As :func:`~lowdose.batch.workers.denoise_files` does.

    Returns
    -------
    list of Outcome
        Of the files that are done or failed.

    Raises
    ------
    MissingExtraError
        If dask.distributed is not installed.
    DeviceError
        If there is no scheduler at the address, or it has no worker; or in the outcome
        of a file, if they are lost.

    Notes
    -----
    Where workers declare the resource ``GPU``, chunks of a network take one each, so
    that no GPU has two. A worker that is lost costs the chunks that it held; dask
    gives them to another.
    """
    denoiser = denoiser or spec.load()
    outcomes: list[Outcome] = []
    with _connected(address, patience) as client:
        cluster = _Cluster(
            client=client,
            spec=spec,
            denoiser=denoiser,
            options=options,
            files=files,
            should_stop=should_stop,
            patience=patience,
        )
        for number, job in enumerate(jobs):
            if should_stop():
                break
            yield FileStatus(number=number, state="running")
            try:
                outcome = yield from cluster.denoise(number, job)
            except Cancelled:
                yield FileStatus(number=number, state="cancelled")
                break
            except LowDoseError as error:
                outcome = Outcome(job=job, error=str(error), exception=error)
            outcomes.append(outcome)
            yield FileStatus(number=number, state=outcome.state, outcome=outcome)
    return outcomes


@dataclass(slots=True, kw_only=True)
class _Cluster:
    """A connection, and what is to be done over it."""

    client: Any
    spec: DenoiserSpec
    denoiser: Denoiser
    options: DenoiseOptions
    files: FileOptions
    should_stop: ShouldStop
    #: How long to wait for a worker when none is left [s], and since when none is.
    patience: float
    deserted: float | None = None

    def denoise(self, number: int, job: Job) -> Generator[FileStatus, None, Outcome]:
        """Denoise one file."""
        clock = Clock()
        opened = open_file(
            job,
            self.denoiser,
            options=self.options,
            files=self.files,
            device="dask cluster",
        )
        if isinstance(opened, Outcome):
            return opened
        keep = False
        try:
            yield from self._run(number, job, opened, clock)
            opened.sink.commit()
        except BaseException as error:
            keep = self.files.resume and worth_keeping(error)
            raise
        finally:
            opened.sink.end(keep=keep)
        return Outcome(
            job=job,
            shape=opened.image.shape,
            seconds=clock.seconds,
            frames_resumed=opened.image.n_frames - len(opened.frames),
        )

    def _run(
        self, number: int, job: Job, opened: OpenFile, clock: Clock
    ) -> Generator[FileStatus, None, None]:
        waiting = deque(self._chunks(job, opened))
        finished: queue.SimpleQueue[_Fetched] = queue.SimpleQueue()
        under_way: dict[Any, Chunk] = {}
        done, any_valid = 0, False
        shape = opened.image.frame_shape
        # Fetches frames while others are written, and waits where they are computed
        # anew, because the worker that had them is lost.
        fetching = ThreadPoolExecutor(1, thread_name_prefix="lowdose-fetch")

        def fetch(future: Any) -> None:
            with suppress(RuntimeError):  # the work has ended meanwhile
                fetching.submit(_fetch, future, finished)

        try:
            while waiting or under_way:
                while waiting and len(under_way) < self._most_under_way():
                    chunk = waiting.popleft()
                    future = self._submit(chunk)
                    under_way[future] = chunk
                    future.add_done_callback(fetch)
                fetched = self._next(finished)
                if fetched is None:
                    continue
                chunk = under_way.pop(fetched.future)
                result = _result(fetched, chunk)
                fetched.future.release()
                for text in result.warnings:
                    yield FileStatus(number=number, state="running", warning=text)
                for frame, pixels in zip(result.numbers, result.frames, strict=True):
                    opened.sink.write_frame(frame, pixels)
                done += len(result.numbers)
                any_valid = any_valid or result.any_valid
                progress = Progress(
                    stage="denoise",
                    done=done,
                    total=len(opened.frames),
                    pixels=done * math.prod(shape),
                    frame=result.numbers[-1],
                    frames=opened.image.n_frames,
                    seconds=clock.seconds,
                )
                yield FileStatus(number=number, state="running", progress=progress)
        finally:
            if under_way:
                # A connection that is gone cannot cancel, and need not.
                with suppress(Exception):
                    self.client.cancel(list(under_way))
            fetching.shutdown(wait=False)
        if len(opened.frames) == opened.image.n_frames and not any_valid:
            raise no_finite_pixel(opened.image)

    def _chunks(self, job: Job, opened: OpenFile) -> Iterator[Chunk]:
        frames = opened.frames
        # "auto" is a question for one machine, but pixels and provenance must not
        # depend on which worker answers it.
        place = resolve_place(self.options, self.denoiser.needs)
        options = replace(self.options, precision=place.precision)
        pixels = math.prod(opened.image.frame_shape)
        # Every thread of the cluster gets some of them, if there are enough: the last
        # chunks are computed, sent and written while others have nothing to do.
        share = -(-len(frames) // (_CHUNKS_PER_THREAD * self._threads()))
        least, most = (max(1, n // pixels) for n in (_LEAST_PIXELS, CHUNK_PIXELS))
        size = min(most, max(least, share))
        for start in range(0, len(frames), size):
            yield Chunk(
                source=str(job.source.resolve()),
                identity=opened.identity,
                dataset=self.files.dataset,
                spec=self.spec,
                description=plain(self.denoiser.describe()),
                options=options,
                numbers=frames[start : start + size],
            )

    def _threads(self) -> int:
        # Asked every time: workers come and go.
        return max(1, sum(int(count) for count in self.client.nthreads().values()))

    def _most_under_way(self) -> int:
        return max(2, _PER_THREAD * self._threads())

    def _submit(self, chunk: Chunk) -> Any:
        resources = None
        if self.denoiser.needs.device and self.options.device != "cpu":
            workers = self.client.scheduler_info()["workers"].values()
            if any("GPU" in worker.get("resources", {}) for worker in workers):
                resources = {"GPU": 1}
        return self.client.submit(
            denoise_chunk, chunk, pure=False, retries=_RETRIES, resources=resources
        )

    def _next(self, finished: queue.SimpleQueue[_Fetched]) -> _Fetched | None:
        """Return a finished chunk, or None after a while; raises what ends the work."""
        self._check()
        with suppress(queue.Empty):
            return finished.get(timeout=_POLL)
        return None

    def _check(self) -> None:
        """Raise what ends the work: it was stopped, or nobody is left to do it."""
        if self.should_stop():
            msg = f"Denoising with {self.denoiser.name!r} was stopped."
            raise Cancelled(msg)
        if self.client.status != "running":
            msg = (
                "The connection to the scheduler was lost. Start the cluster again, "
                "and go on with --resume."
            )
            raise DeviceError(msg)
        if self.client.nthreads():
            self.deserted = None
            return
        # A new one may be on its way: a nanny or a batch system starts it.
        now = time.monotonic()
        self.deserted = self.deserted or now
        if now - self.deserted > self.patience:
            msg = (
                f"The cluster lost its last worker, and in {self.patience:g} s no "
                "other came. Start one, and go on with --resume."
            )
            raise DeviceError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fetched:
    """What came of a chunk."""

    future: Any
    result: ChunkResult | None = None
    error: BaseException | None = None


def _fetch(future: Any, finished: queue.SimpleQueue[_Fetched]) -> None:
    try:
        finished.put(_Fetched(future=future, result=future.result()))
    except BaseException as error:  # noqa: BLE001  (raised where it is waited for)
        finished.put(_Fetched(future=future, error=error))


def _result(fetched: _Fetched, chunk: Chunk) -> ChunkResult:
    """Return the frames of a chunk, or raise in words of ours what became of it."""
    from distributed import CancelledError, KilledWorker

    error = fetched.error
    if error is None:
        assert fetched.result is not None
        return fetched.result
    if isinstance(error, LowDoseError):
        raise error
    numbers = f"frames {chunk.numbers[0]} to {chunk.numbers[-1]}"
    if isinstance(error, KilledWorker):
        msg = (
            f"Several workers ended over {numbers} of {chunk.source}. Systems "
            "that run short of memory end processes so: give each worker more, "
            "or use smaller tiles."
        )
        raise OutOfMemoryError(msg) from error
    if isinstance(error, (CancelledError, OSError, TimeoutError)):
        msg = (
            f"{numbers} of {chunk.source} were lost with the connection to the "
            f"cluster ({error}). Go on with --resume."
        )
        raise DeviceError(msg) from error
    msg = (
        f"A worker failed with {numbers} of {chunk.source}: {error!r}. See "
        "the log of the worker; all of them need the same versions."
    )
    raise DeviceError(msg) from error


@contextmanager
def _connected(address: str, patience: float) -> Iterator[Any]:
    try:
        from distributed import Client
    except ImportError as error:
        msg = (
            "A cluster needs dask.distributed. Install it, here and on every worker, "
            'with: pip install "napari-lowdose[distributed]"'
        )
        raise MissingExtraError(msg) from error
    try:
        # Frames come from the workers themselves; by way of the scheduler they would
        # be sent twice. A worker that cannot be reached is asked through it.
        client = Client(
            address, timeout=patience, set_as_default=False, direct_to_workers=True
        )
    except (OSError, ValueError, TimeoutError) as error:
        msg = (
            f"No scheduler of a dask cluster answers at {address!r} ({error}). Start "
            "one with `dask scheduler`, and give the address that it prints."
        )
        raise DeviceError(msg) from error
    try:
        begin = time.monotonic()
        while not client.nthreads():
            if time.monotonic() - begin > patience:
                msg = (
                    f"The scheduler at {address} has no worker. Start one with `dask "
                    f"worker {address}`."
                )
                raise DeviceError(msg)
            time.sleep(_POLL)
        yield client
    finally:
        client.close()
