"""Memory, clusters and kills: what a long movie and a bad day cost.

Each part prints a Markdown table. Run them from the root of the repository, on an
otherwise idle machine::

    python benchmarks/scale.py memory --gib 1 6 --denoiser gaussian      # 5 min
    python benchmarks/scale.py memory --gib 1 6 --denoiser general       # 2 h
    python benchmarks/scale.py cluster                                   # 5 min
    python benchmarks/scale.py kills --count 50                          # 15 min

``memory`` writes a float32 movie of the size that is asked for, denoises it with the
command line, and gives the largest resident size that this process had. ``cluster``
compares two single-threaded workers of a dask cluster with one, in speed and to the
last bit, and once more with one of them killed. ``kills`` ends runs that denoise,
train or simulate with SIGKILL at random moments again and again, goes on with
``--resume``, and compares the result with that of a run that was left alone, to the
last bit; and does the same to writing, where the final name must show the old file or
the new one.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lowdose import io
from lowdose.batch import DenoiserSpec, Job, denoise_on_cluster
from lowdose.micrograph import Calibration

if TYPE_CHECKING:
    from collections.abc import Callable

#: Runs the command line and says how large the process was in the end.
_MEASURED = """\
import json, sys
from lowdose.cli import main
from lowdose.speed.memory import peak_of_process
code = main(sys.argv[1:])
print(json.dumps({"code": code, "peak_mib": peak_of_process()}), file=sys.stderr)
"""

#: A network that is trained in a few seconds, with a checkpoint every few steps.
_RECIPE = """\
name = "killed"
title = "Killed again and again"
summary = "For benchmarks/scale.py."
licence = "CC0-1.0"
seed = 1
[data]
kinds = { amorphous = 1.0 }
images = 8
size = 64
[network]
architecture = "unet2"
options = { scales = 2, base = 4, conditions = 2, residual = true }
[training]
steps = STEPS
batch = 2
patch = 32
validate_every = 20
checkpoint_every = 20
warmup = 1
precision = "float32"
"""

#: Formats in which a killed run can be gone on with.
RESUMED = (".tif", ".mrc", ".zarr", ".h5")

#: Writes a stack over another one, again and again.
_WRITING = """\
import sys, numpy as np
from lowdose import Micrograph, io
stack = np.full((40, 256, 256), 2, np.float32)
while True:
    io.write(sys.argv[1], Micrograph(stack), overwrite=True)
"""


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", help="where the files go (default: temporary)")
    parts = parser.add_subparsers(required=True)
    part = parts.add_parser("memory")
    part.add_argument("--gib", type=float, nargs="+", default=[1.0, 6.0])
    part.add_argument("--denoiser", default="gaussian")
    part.add_argument("--side", type=int, default=2048)
    part.add_argument("--suffix", default=".tif", help="format of both files")
    part.set_defaults(run=memory)
    part = parts.add_parser("cluster")
    part.add_argument("--frames", type=int, default=64)
    part.add_argument("--side", type=int, default=1024)
    part.add_argument("--denoiser", default="median")
    part.set_defaults(run=cluster)
    part = parts.add_parser("kills")
    part.add_argument("--count", type=int, default=50, help="kills in all")
    part.add_argument("--seed", type=int, default=0)
    part.add_argument("--frames", type=int, default=60, help="of the denoised movie")
    part.add_argument("--steps", type=int, default=400, help="of the training")
    part.add_argument("--images", type=int, default=96, help="of the simulated set")
    part.set_defaults(run=kills)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        arguments.run(arguments, Path(folder))


def memory(arguments: argparse.Namespace, folder: Path) -> None:
    """Print the peak memory of runs over movies of several sizes."""
    print(
        "| movie [GiB] | frames | denoiser | time [s] | rate [Mpx/s] | "
        "peak RSS [MiB] |\n|---|---|---|---|---|---|"
    )
    for gib in arguments.gib:
        frames = max(1, round(gib * 2**30 / 4 / arguments.side**2))
        noisy = folder / f"noisy{arguments.suffix}"
        clean = folder / f"clean{arguments.suffix}"
        write_movie(noisy, frames, arguments.side)
        start = time.perf_counter()
        command = ["denoise", str(noisy), "-o", str(clean), "--quiet"]
        command += ["--denoiser", arguments.denoiser, "--device", "cpu"]
        done = subprocess.run(
            [sys.executable, "-c", _MEASURED, *command],
            stderr=subprocess.PIPE,
            text=True,
            check=True,
        )
        seconds = time.perf_counter() - start
        report = json.loads(done.stderr.splitlines()[-1])
        if report["code"]:
            sys.exit(done.stderr)
        megapixels = frames * arguments.side**2 / 1e6
        print(
            f"| {gib:g} | {frames} x {arguments.side}² | {arguments.denoiser} | "
            f"{seconds:.0f} | {megapixels / seconds:.3g} | {report['peak_mib']:.0f} |",
            flush=True,
        )
        noisy.unlink()
        clean.unlink()


def cluster(arguments: argparse.Namespace, folder: Path) -> None:
    """Compare one worker, two, and two of which one is killed."""
    noisy = folder / "noisy.tif"
    write_movie(noisy, arguments.frames, arguments.side)
    spec = DenoiserSpec(name=arguments.denoiser)
    print("| workers | time [s] | ratio | sha256 of the pixels |\n|---|---|---|---|")
    first = None
    for workers, kill in ((1, False), (2, False), (2, True)):
        clean = folder / f"clean-{workers}-{kill}.tif"
        with workers_of(folder / f"{workers}-{kill}", workers) as (address, started):
            victims = started[:1] if kill else []
            seconds = run_on(address, Job(source=noisy, target=clean), spec, victims)
        first = first or seconds
        text = f"{workers}, one killed" if kill else str(workers)
        print(
            f"| {text} | {seconds:.1f} | {first / seconds:.2f} | {digest(clean)} |",
            flush=True,
        )


def run_on(
    address: str, job: Job, spec: DenoiserSpec, victims: list[subprocess.Popen[bytes]]
) -> float:
    """Denoise a file on a cluster, killing a worker halfway; return the seconds."""
    start = time.perf_counter()
    steps = denoise_on_cluster([job], spec, address, patience=120)
    for status in steps:
        if status.outcome is not None and status.outcome.error:
            sys.exit(status.outcome.error)
        if victims and status.progress and status.progress.fraction > 0.5:
            victims.pop().kill()
    return time.perf_counter() - start


class workers_of:  # noqa: N801  (a context manager, used as a function)
    """A scheduler and some single-threaded workers, as processes of their own."""

    def __init__(self, folder: Path, count: int) -> None:
        folder.mkdir()
        self.file = folder / "scheduler.json"
        common = ["--no-dashboard", "--scheduler-file", str(self.file)]
        worker = ["distributed.cli.dask_worker", "--nthreads", "1", "--no-nanny"]
        worker += ["--local-directory", str(folder), *common]
        scheduler = ["distributed.cli.dask_scheduler", "--port", "0", *common]
        scheduler += ["--host", "127.0.0.1"]
        self.processes = [
            subprocess.Popen(
                [sys.executable, "-m", *command],
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for command in [scheduler, *[worker] * count]
        ]
        self.count = count

    def __enter__(self) -> tuple[str, list[subprocess.Popen[bytes]]]:
        from distributed import Client

        while not (self.file.exists() and self.file.read_text().strip()):
            time.sleep(0.1)
        address = str(json.loads(self.file.read_text())["address"])
        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(self.count, timeout=120)
        return address, self.processes[1:]

    def __exit__(self, *_exception: object) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


def kills(arguments: argparse.Namespace, folder: Path) -> None:
    """Kill runs at random moments and go on with them."""
    rng = random.Random(arguments.seed)
    tasks = [*(denoising(arguments, folder, suffix) for suffix in RESUMED)]
    tasks += [training(arguments, folder), simulating(arguments, folder)]
    share = -(-arguments.count // (len(tasks) + 1))
    print("| what | kills | results | wrong |\n|---|---|---|---|")
    totals = np.zeros(3, int)
    rows = [(task.name, lambda task=task: kill(task, share, rng)) for task in tasks]
    rows += [("write over a file", lambda: kill_write(share, folder, rng))]
    for name, run in rows:
        found = run()
        totals += found
        print(f"| {name} | {found[0]} | {found[1]} | {found[2]} |", flush=True)
    print(f"| in all | {totals[0]} | {totals[1]} | {totals[2]} |")
    sys.exit(1 if totals[2] else 0)


@dataclass(frozen=True, kw_only=True)
class Task:
    """Something that can be gone on with after it was killed.

    Parameters
    ----------
    name : str
        What it is.
    arguments : list of str
        Of the command line, up to the name of the result.
    result : Path
        What is compared.
    output : Path
        The name of the result in the arguments; removed for the next one.
    contents : callable
        Given the result, returns what must be the same, to the last bit.
    sources : tuple of Path
        Files that must stay as they are.
    """

    name: str
    arguments: list[str]
    result: Path
    output: Path
    contents: Callable[[Path], str]
    sources: tuple[Path, ...] = ()

    def start(self) -> subprocess.Popen[bytes]:
        """Begin it, or go on with it."""
        command = [sys.executable, "-m", "lowdose", *self.arguments, "--resume"]
        return subprocess.Popen(
            command,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def leftovers(self) -> list[Path]:
        """Return what lies beside the result, and must not when it is complete."""
        names = self.output.parent.glob(f"*{self.output.stem}*")
        return [path for path in names if path != self.output]

    def clear(self) -> None:
        """Remove the result."""
        for path in (self.output, *self.leftovers()):
            remove(path)


def kill(task: Task, count: int, rng: random.Random) -> tuple[int, int, int]:
    """Return kills, results, and how many of these were wrong."""
    before = [path.read_bytes() for path in task.sources]
    start = time.perf_counter()
    finish(task)
    duration = time.perf_counter() - start
    wanted = task.contents(task.result)
    task.clear()
    killed = results = wrong = 0
    while killed < count:
        process = task.start()
        try:
            process.communicate(timeout=rng.uniform(0.1, 1.1) * duration)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            killed += 1
            # Only with a half file may it be that there is no result yet.
            wrong += task.result.exists() and task.contents(task.result) != wanted
            continue
        results += 1
        wrong += process.returncode != 0 or not right(task, wanted, before)
        task.clear()
    finish(task)
    results += 1
    wrong += not right(task, wanted, before)
    task.clear()
    return killed, results, wrong


def right(task: Task, wanted: str, before: list[bytes]) -> bool:
    """Return whether a result is what it must be, with nothing left beside it."""
    same = task.result.exists() and task.contents(task.result) == wanted
    untouched = [path.read_bytes() for path in task.sources] == before
    return same and untouched and not task.leftovers()


def finish(task: Task) -> None:
    """Run a task to its end."""
    process = task.start()
    _, words = process.communicate()
    if process.returncode:
        sys.exit(f"{task.name} failed: {words.decode()}")


def denoising(arguments: argparse.Namespace, folder: Path, suffix: str) -> Task:
    """Return a slow run of a filter."""
    noisy, clean = folder / "noisy.tif", folder / f"clean-{suffix[1:]}{suffix}"
    if not noisy.exists():
        write_movie(noisy, arguments.frames, 128)
    command = ["denoise", str(noisy), "-o", str(clean), "--denoiser", "nl-means"]
    return Task(
        name=f"denoise to {suffix}",
        arguments=[*command, "--batch", "1", "--quiet"],
        result=clean,
        output=clean,
        contents=digest,
        sources=(noisy,),
    )


def training(arguments: argparse.Namespace, folder: Path) -> Task:
    """Return the training of a small network on drawn images."""
    recipe, output = folder / "recipe.toml", folder / "trained"
    recipe.write_text(_RECIPE.replace("STEPS", str(arguments.steps)))
    return Task(
        name="train",
        arguments=["train", str(recipe), "-o", str(output)],
        result=output / "model" / "weights.safetensors",
        output=output,
        contents=file_digest,
        sources=(recipe,),
    )


def simulating(arguments: argparse.Namespace, folder: Path) -> Task:
    """Return the simulation of a set that needs no extra."""
    output = folder / "simulated.h5"
    command = ["simulate", "drawn", "-o", str(output), "--seed", "3", "--quiet"]
    return Task(
        name="simulate",
        arguments=[*command, "--count", str(arguments.images)],
        result=output,
        output=output,
        contents=file_digest,
    )


def kill_write(count: int, folder: Path, rng: random.Random) -> tuple[int, int, int]:
    """Return kills, files looked at, and how many of these were half written."""
    path = folder / "written.tif"
    with io.create(path, (40, 256, 256), Calibration.unknown(3)) as sink:
        for number in range(40):
            sink.write_frame(number, np.full((256, 256), 2, np.float32))
    wrong = 0
    for _ in range(count):
        process = subprocess.Popen([sys.executable, "-c", _WRITING, str(path)])
        time.sleep(rng.uniform(1.0, 3.0))
        process.send_signal(signal.SIGKILL)
        process.wait()
        wrong += not bool((np.asarray(io.read(path)) == 2).all())
    return count, count, wrong


def write_movie(path: Path, frames: int, side: int) -> None:
    """Write a float32 movie of shot noise, frame by frame, no two frames alike."""
    rng = np.random.default_rng(0)
    noise = rng.poisson(5, (side, side)).astype(np.float32)
    with io.create(path, (frames, side, side), Calibration.unknown(3)) as sink:
        for number in range(frames):
            sink.write_frame(number, np.roll(noise, 37 * number, axis=0))


def digest(path: Path) -> str:
    """Return the beginning of the sha256 of the pixels of a file."""
    found = hashlib.sha256()
    for frame in io.read(path).frames():
        found.update(np.ascontiguousarray(frame))
    return found.hexdigest()[:16]


def file_digest(path: Path) -> str:
    """Return the beginning of the sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def remove(path: Path) -> None:
    """Remove a file or a folder."""
    import shutil

    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
