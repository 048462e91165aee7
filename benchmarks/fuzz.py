"""Damaged files for every reader: nothing may crash, hang, or fail in words not ours.

Small files of every format that is written here, and those of a folder of real ones
where it is given, are changed at random (bytes flipped, numbers in the header replaced
by absurd ones, cut short, lengthened, renamed) and read as a whole, as the engine does
it, in a process that is watched. Counted are files that were read all the same, errors
of ours, and what must not be: other exceptions, ended processes, more than ten seconds,
and more than a GiB of memory. Run it from the root of the repository::

    python benchmarks/fuzz.py --count 10000                       # about 5 min
    python benchmarks/fuzz.py --count 10000 --real FOLDER

The seed of each bad file is printed; ``--seed N --count 1`` makes it again.
"""

from __future__ import annotations

import argparse
import collections
import logging
import multiprocessing
import random
import shutil
import signal
import struct
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from lowdose import io
from lowdose.errors import LowDoseError
from lowdose.inference.frames import read_frame
from lowdose.micrograph import Calibration, Micrograph

SUFFIXES = (".tif", ".ome.tif", ".mrc", ".npy", ".npz", ".h5", ".zarr")
#: Longest time that a file may take [s], and most memory that it may make of itself.
PATIENCE = 10.0
MEMORY = 2**30
#: Largest real file that is changed [B]: thousands of copies are made.
LARGEST = 4 * 2**20

ABSURD = (0, 1, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 10**15, 2**63 - 1)


def main() -> None:
    """Fuzz, and print what became of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--real", type=Path, help="folder of real files")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        originals = make_originals(folder / "originals")
        if arguments.real:
            originals += [
                path
                for path in sorted(arguments.real.rglob("*"))
                if path.is_file()
                and path.suffix.lower() in io.readable_suffixes()
                and path.stat().st_size <= LARGEST
            ]
        counts: collections.Counter[str] = collections.Counter()
        bad = fuzz(arguments, folder, originals, counts)
    print("\n| what became of it | files |\n|---|---|")
    for what, number in counts.most_common():
        print(f"| {what} | {number} |")
    sys.exit(1 if bad else 0)


def fuzz(
    arguments: argparse.Namespace,
    folder: Path,
    originals: list[Path],
    counts: collections.Counter[str],
) -> int:
    """Return how many files did what they must not."""
    bad = 0
    watched = Watched()
    for seed in range(arguments.seed, arguments.seed + arguments.count):
        rng = random.Random(seed)
        path = mutated(rng, rng.choice(originals), folder)
        what, text = watched.read(path)
        counts[what] += 1
        if what not in ("read", "an error of ours"):
            bad += 1
            print(f"seed {seed}: {path.name}: {what}: {text}", flush=True)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    watched.end()
    return bad


def make_originals(folder: Path) -> list[Path]:
    """Write a small stack in every format."""
    folder.mkdir()
    stack = np.random.default_rng(0).poisson(5, (3, 16, 20)).astype(np.uint16)
    calibration = Calibration.from_spacing((0.1, 2.0, 2.0), ("s", "nm", "nm"))
    paths = [folder / f"movie{suffix}" for suffix in SUFFIXES]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path in paths:
            io.write(path, Micrograph(stack, calibration))
    import tifffile

    for codec in ("zlib", "lzw"):
        path = folder / f"{codec}.tif"
        try:
            tifffile.imwrite(path, stack, compression=codec)
        except (KeyError, ValueError, ImportError):  # without imagecodecs
            continue
        paths.append(path)
    return paths


def mutated(rng: random.Random, original: Path, folder: Path) -> Path:
    """Return a changed copy of a file or a Zarr folder."""
    path = folder / f"fuzzed{''.join(original.suffixes[-2:])}"
    if original.is_dir():
        shutil.copytree(original, path)
        files = [file for file in path.rglob("*") if file.is_file()]
        file = rng.choice(files)
        file.write_bytes(changed(rng, file.read_bytes()))
        return path
    if rng.random() < 0.05:  # mislabelled
        path = path.with_suffix(rng.choice(io.readable_suffixes()))
    path.write_bytes(changed(rng, original.read_bytes()))
    return path


def changed(rng: random.Random, data: bytes) -> bytes:
    """Return changed bytes; most changes are near the beginning, where headers are."""
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        if not found:
            break
        reach = len(found) if rng.random() < 0.3 else min(len(found), 1500)
        place = rng.randrange(reach)
        kind = rng.random()
        if kind < 0.35:
            found[place] ^= 1 << rng.randrange(8)
        elif kind < 0.5:
            found[place] = rng.randrange(256)
        elif kind < 0.8:
            size = rng.choice("BHIQ")
            number = rng.choice(ABSURD) % 2 ** (8 * struct.calcsize(size))
            raw = struct.pack(rng.choice("<>") + size, number)
            found[place : place + len(raw)] = raw
        elif kind < 0.9:
            del found[place:]
        elif kind < 0.95:
            found[place:place] = rng.randbytes(rng.randrange(64))
        else:
            del found[place : place + rng.randrange(1, 64)]
    return bytes(found)


class Watched:
    """A process that reads files, and is begun anew where it ended."""

    def __init__(self) -> None:
        self._process: Any = None
        self._pipe: Any = None

    def read(self, path: Path) -> tuple[str, str]:
        """Return what became of reading a file, and the words of its error."""
        if self._process is None:
            context = multiprocessing.get_context("spawn")
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(target=work, args=(theirs,), daemon=True)
            self._process.start()
            theirs.close()
            self._pipe.recv()  # it is ready
        self._pipe.send(str(path))
        if not self._pipe.poll(PATIENCE):
            self.end()
            return "hung", f"more than {PATIENCE:g} s"
        try:
            what, text = self._pipe.recv()
        except EOFError:
            self._process.join()
            code = self._process.exitcode
            self._process = None
            name = signal.Signals(-code).name if code and code < 0 else code
            return "ended the process", str(name)
        return str(what), str(text)

    def end(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None


def work(pipe: Any) -> None:
    """Read files as they are named."""
    try:
        import resource

        import psutil

        limit = psutil.Process().memory_info().vms + 8 * MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    except ImportError:  # not on Windows
        pass
    # tifffile tells of everything that is odd in a file.
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    pipe.send("ready")
    while True:
        path = Path(pipe.recv())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pipe.send(outcome(path))


def outcome(path: Path) -> tuple[str, str]:
    """Read a file, and say what happened."""
    try:
        image = io.read(path)
        if image.data.size * image.dtype.itemsize > MEMORY:
            return "an absurd size was believed", f"{image.shape}"
        for number in range(min(image.n_frames, 100)):
            read_frame(image, number)
    except LowDoseError as error:
        return "an error of ours", str(error)
    except MemoryError as error:
        return "memory ran out", str(error)
    except Exception as error:  # noqa: BLE001  (that it comes to this is the finding)
        return f"{type(error).__name__}, not ours", str(error)
    return "read", ""


if __name__ == "__main__":
    main()
