"""Memory, clusters and kills: what a long movie and a bad day cost.

Each part prints a Markdown table. Run them from the root of the repository, on an
otherwise idle machine::

    python benchmarks/scale.py memory --gib 1 6 --denoiser gaussian      # 5 min
    python benchmarks/scale.py memory --gib 1 6 --denoiser general       # 2 h
    python benchmarks/scale.py cluster                                   # 5 min
    python benchmarks/scale.py kills --count 50                          # 10 min

``memory`` writes a float32 movie of the size that is asked for, denoises it with the
command line, and gives the largest resident size that this process had. ``cluster``
compares two single-threaded workers of a dask cluster with one, in speed and to the
last bit, and once more with one of them killed. ``kills`` ends a run with SIGKILL at
random moments again and again, goes on with ``--resume``, and compares the result with
that of a run that was left alone; and does the same to writing, where the final name
must show the old file or the new one.
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
from pathlib import Path

import numpy as np

from lowdose import io
from lowdose.batch import DenoiserSpec, Job, denoise_on_cluster
from lowdose.batch.manifest import manifest_path
from lowdose.micrograph import Calibration

#: Runs the command line and says how large the process was in the end.
_MEASURED = """\
import json, sys
from lowdose.cli import main
from lowdose.speed.memory import peak_of_process
code = main(sys.argv[1:])
print(json.dumps({"code": code, "peak_mib": peak_of_process()}), file=sys.stderr)
"""

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
    part.add_argument("--count", type=int, default=50)
    part.add_argument("--seed", type=int, default=0)
    part.add_argument("--frames", type=int, default=60)
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
            seconds = run_on(
                address, Job(source=noisy, target=clean), spec, started if kill else []
            )
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
    print("| what | kills | results | wrong |\n|---|---|---|---|")
    for suffix in (".tif", ".mrc", ".zarr"):
        killed, results, wrong = kill_denoise(arguments, folder, rng, suffix)
        print(f"| denoise to {suffix} | {killed} | {results} | {wrong} |", flush=True)
    killed, results, wrong = kill_write(arguments, folder, rng)
    print(f"| write over a file | {killed} | {results} | {wrong} |", flush=True)


def kill_denoise(
    arguments: argparse.Namespace, folder: Path, rng: random.Random, suffix: str
) -> tuple[int, int, int]:
    """Return kills, results, and how many of these were wrong."""
    noisy, whole = folder / "noisy.tif", folder / f"whole{suffix}"
    if not noisy.exists():
        write_movie(noisy, arguments.frames, 128)
    before = noisy.read_bytes()
    start = time.perf_counter()
    denoise(noisy, whole).wait()
    duration = time.perf_counter() - start
    wanted = digest(whole)
    killed = results = wrong = 0
    clean = folder / f"clean{suffix}"
    while killed < arguments.count:
        process = denoise(noisy, clean, "--resume")
        try:
            code = process.wait(rng.uniform(0, 1.2 * duration))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed += 1
            # Only with a half file may it be that there is no result yet.
            wrong += clean.exists() and digest(clean) != wanted
            continue
        results += 1
        wrong += code != 0 or digest(clean) != wanted or noisy.read_bytes() != before
        wrong += manifest_path(clean).exists()
        remove(clean)
    denoise(noisy, clean, "--resume").wait()
    results += 1
    wrong += digest(clean) != wanted
    remove(clean)
    remove(whole)
    return killed, results, wrong


def kill_write(
    arguments: argparse.Namespace, folder: Path, rng: random.Random
) -> tuple[int, int, int]:
    """Return kills, files looked at, and how many of these were half written."""
    path = folder / "written.tif"
    with io.create(path, (40, 256, 256), Calibration.unknown(3)) as sink:
        for number in range(40):
            sink.write_frame(number, np.full((256, 256), 2, np.float32))
    wrong = 0
    for _ in range(arguments.count):
        process = subprocess.Popen([sys.executable, "-c", _WRITING, str(path)])
        time.sleep(rng.uniform(1.0, 3.0))
        process.send_signal(signal.SIGKILL)
        process.wait()
        wrong += not bool((np.asarray(io.read(path)) == 2).all())
    return arguments.count, arguments.count, wrong


def denoise(noisy: Path, clean: Path, *more: str) -> subprocess.Popen[bytes]:
    """Start a slow run of the command line."""
    command = [sys.executable, "-m", "lowdose", "denoise", str(noisy), "-o", str(clean)]
    command += ["--denoiser", "nl-means", "--batch", "1", "--quiet", *more]
    return subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})


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


def remove(path: Path) -> None:
    """Remove a file or a folder."""
    import shutil

    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
