"""Making a data set: every specimen once, in any number of processes, to be resumed."""

from __future__ import annotations

from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lowdose.errors import Cancelled, OutputError, ParameterError
from lowdose.io import paths
from lowdose.progress import Clock, Progress, never
from lowdose.simulation import store
from lowdose.simulation.dataset import Dataset
from lowdose.simulation.workers import render_all

if TYPE_CHECKING:
    import os
    from collections.abc import Generator, Iterator

    from lowdose.progress import ShouldStop
    from lowdose.simulation.rendering import Preset
    from lowdose.simulation.store import Plan


def iter_simulate(
    preset: Preset,
    path: str | os.PathLike[str],
    *,
    count: int,
    seed: int = 0,
    workers: int = 1,
    resume: bool = False,
    cache: Path | None = None,
    should_stop: ShouldStop = never,
) -> Generator[Progress, None, Path]:
    """Simulate a data set into an HDF5 file.

    The file depends on preset, count, seed and the versions of the software alone: not
    on the number of workers, nor on whether the work was ended and resumed.

    Parameters
    ----------
    preset : Preset
        What to simulate; see :data:`lowdose.simulation.presets.PRESETS`.
    path : path-like
        The file, ending in ``.h5`` or ``.hdf5``. It appears when it is complete; until
        then specimens are kept in the folder ``<path>.making`` beside it.
    count : int
        Number of images, or of movies; at least 1.
    seed : int, optional
        At least 0.
    workers : int, optional
        Number of processes. They are started anew, so a script that calls this needs
        the usual ``if __name__ == "__main__":``.
    resume : bool, optional
        Go on with a set of which a part is there. A set that is complete is left as it
        is; where nothing is there, it is begun.
    cache : Path, optional
        Folder in which exit waves are kept for later sets with other optics.
    should_stop : callable, optional
        Asked several times a second; specimens at work are then given up.

    Yields
    ------
    Progress
        In images, of those that were still to do.

    Returns
    -------
    Path
        The finished file.

    Raises
    ------
    ParameterError
        If a number is not allowed.
    OutputError
        If the file, or a part of it, is there already and `resume` is false; if it was
        made otherwise than asked for now; if another process is making it; or if it
        cannot be written.
    Cancelled
        If `should_stop` said so. What is finished is kept.
    OutOfMemoryError
        If a worker was ended by the system.
    """
    target = Path(path)
    _check(target, count=count, seed=seed, workers=workers)
    plan = store.make_plan(preset, seed=seed, count=count)
    if _is_finished(target, plan, resume=resume):
        store.clear(store.making(target))
        return target
    folder = store.making(target)
    specimens = preset.specimens(count)
    with _begun(target, plan, resume=resume):
        done = store.finished(folder, specimens)
        todo = [number for number in range(specimens) if number not in done]
        per, total = preset.images_per_specimen, preset.images(count)
        rest = total - sum(min(per, total - number * per) for number in done)
        message = f"{total - rest} of {total} images are there already." if done else ""
        clock = Clock()
        made = 0
        yield Progress(stage="simulate", done=0, total=rest, message=message)
        rendering = render_all(
            preset,
            folder,
            todo,
            seed=seed,
            workers=workers,
            cache=cache,
            should_stop=should_stop,
        )
        with closing(rendering):
            for number in rendering:
                done.add(number)
                made += min(per, total - number * per)
                yield Progress(
                    stage="simulate", done=made, total=rest, seconds=clock.seconds
                )
        if len(done) < specimens:
            msg = (
                f"Stopped with {total - rest + made} of {total} images made. They are "
                f"kept in {folder}; resume to go on."
            )
            raise Cancelled(msg)
        return store.assemble(target, plan, preset)


def _check(path: Path, *, count: int, seed: int, workers: int) -> None:
    for name, value, least in (
        ("count", count, 1),
        ("seed", seed, 0),
        ("workers", workers, 1),
    ):
        if value < least:
            msg = f"{name}={value} is too small; give a whole number from {least} on."
            raise ParameterError(msg)
    if path.suffix.lower() not in (".h5", ".hdf5"):
        msg = f"A data set is an HDF5 file: give a name ending in .h5, not {path.name}."
        raise OutputError(msg)
    if not path.exists():
        paths.check_output(path, overwrite=False)


def _is_finished(path: Path, plan: Plan, *, resume: bool) -> bool:
    """Return whether the set is there, or say why it cannot be made at its place."""
    if not path.exists():
        return False
    if not resume:
        msg = f"{path} exists already. Give another name, or remove it first."
        raise OutputError(msg)
    with Dataset(path) as dataset:
        _check_same(dataset.plan, plan, str(path))
    return True


@contextmanager
def _begun(path: Path, plan: Plan, *, resume: bool) -> Iterator[None]:
    """Hold the folder of a set while it is made."""
    folder = store.making(path)
    with paths.in_words(path):
        there = store.read_plan(folder)
        if there is not None:
            if not resume:
                msg = (
                    f"A part of {path} is in {folder} already. Resume it, or remove "
                    "that folder to begin anew."
                )
                raise OutputError(msg)
            _check_same(there, plan, str(folder))
        folder.mkdir(exist_ok=True)
        store.claim(folder, path)
        if there is None:
            store.write_plan(folder, plan)
    try:
        yield
    finally:
        store.release(folder)


def _check_same(there: Plan, now: Plan, where: str) -> None:
    differences = there.differences(now)
    if differences:
        msg = (
            f"{where} was made otherwise than asked for now ({differences}). Ask for "
            "the same to resume it, or give another name."
        )
        raise OutputError(msg)
