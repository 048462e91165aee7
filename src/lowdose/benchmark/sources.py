"""Where clean images come from: simulated sets, folders of micrographs."""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from lowdose import io
from lowdose.errors import InputError, LowDoseError, ParameterError
from lowdose.micrograph import Axis, Calibration, Micrograph
from lowdose.simulation.dataset import Dataset, open_sample

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from pathlib import Path

    from lowdose.progress import Progress, ShouldStop
    from lowdose.simulation.rendering import Preset

#: The small set that comes with the package, by name.
SAMPLE: Final = "sample"


class Pool(Protocol):
    """Clean images. It goes to other processes."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """What identifies the images, as JSON types."""

    @property
    def name(self) -> str:
        """What the images are, in a word."""

    @property
    def label(self) -> str:
        """What the images are, in words."""

    @property
    def records(self) -> Sequence[Mapping[str, Any]]:
        """What is known about every image, JSON types."""

    def __len__(self) -> int:
        """Return the number of images."""

    def image(self, number: int) -> Micrograph:
        """Return a clean image, shape (H, W), float32, at least 0, calibrated."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SimulatedPool:
    """Images of a simulated set.

    Parameters
    ----------
    dataset : Dataset
        The open set.
    """

    dataset: Dataset

    @property
    def identity(self) -> Mapping[str, Any]:
        """Preset, seed, number of images, options and software."""
        plan = self.dataset.plan
        return {
            "preset": plan.preset,
            "images": len(self.dataset),
            "seed": plan.seed,
            "options": dict(plan.options),
            "software": dict(plan.software),
            "shape": list(self.dataset.frame_shape),
        }

    @property
    def name(self) -> str:
        """The preset."""
        return self.dataset.plan.preset

    @property
    def label(self) -> str:
        """What the images are, in words."""
        height, width = self.dataset.frame_shape
        plan = self.dataset.plan
        return (
            f"{len(self.dataset)} images of {len(self.dataset.specimens)} specimens, "
            f"preset {plan.preset}, seed {plan.seed}, {height} x {width} px"
        )

    def __len__(self) -> int:
        return len(self.dataset)

    @property
    def records(self) -> Sequence[Mapping[str, Any]]:
        """Parameters of every image."""
        return [self.dataset.record(n) for n in range(len(self.dataset))]

    def image(self, number: int) -> Micrograph:
        """Return a clean image [e-/px at a dose of 1]."""
        return self.dataset.micrograph(number)


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderPool:
    """Micrographs of the user's own, taken as the truth.

    Parameters
    ----------
    frames : tuple of (Path, int)
        File and number of the frame.
    block : int
        Edge of the blocks of pixels that are averaged first [px].
    """

    frames: tuple[tuple[Path, int], ...]
    block: int = 1

    @property
    def identity(self) -> Mapping[str, Any]:
        """Names and sizes of the files, and the block."""
        files = dict.fromkeys(path for path, _ in self.frames)
        names = "".join(f"{path.name}:{path.stat().st_size};" for path in files)
        return {
            "files": len(files),
            "frames": len(self.frames),
            "names": hashlib.sha256(names.encode()).hexdigest(),
            "block": self.block,
        }

    @property
    def name(self) -> str:
        """That they are files."""
        return "files"

    @property
    def label(self) -> str:
        """What the images are, in words."""
        files = len({path for path, _ in self.frames})
        averaged = f", averaged over {self.block} x {self.block} px"
        return f"{len(self.frames)} frames of {files} files" + (
            averaged if self.block > 1 else ""
        )

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def records(self) -> Sequence[Mapping[str, Any]]:
        """File, frame, and as specimen the file, since frames of one are alike."""
        files = {path: n for n, path in enumerate(dict.fromkeys(dict(self.frames)))}
        return [
            {"file": path.name, "frame": frame, "specimen": files[path]}
            for path, frame in self.frames
        ]

    def image(self, number: int) -> Micrograph:
        """Return a frame less its minimum, so that it is a rate of electrons."""
        path, frame = self.frames[number]
        micrograph = io.read(path)
        pixels = micrograph.frame(frame).astype(np.float64)
        if not np.isfinite(pixels).all():
            msg = f"{path} frame {frame} has NaN or Inf, and cannot be a truth."
            raise InputError(msg)
        calibration = micrograph.calibration.last(2)
        if self.block > 1:
            pixels, calibration = _averaged(pixels, calibration, self.block)
        clean = (pixels - pixels.min()).astype(np.float32)
        return Micrograph(clean, calibration, f"{path.name} {frame}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MixedPool:
    """Several pools as one.

    Parameters
    ----------
    pools : tuple of Pool
        At least one.
    """

    pools: tuple[Pool, ...]

    @property
    def identity(self) -> Mapping[str, Any]:
        """Those of all."""
        return {"pools": [dict(pool.identity) for pool in self.pools]}

    @property
    def name(self) -> str:
        """Those of all."""
        return "+".join(pool.name for pool in self.pools)

    @property
    def label(self) -> str:
        """What the images are, in words."""
        return "; ".join(pool.label for pool in self.pools)

    def __len__(self) -> int:
        return sum(len(pool) for pool in self.pools)

    @property
    def records(self) -> Sequence[Mapping[str, Any]]:
        """Those of all, with the name of the pool as ``set``."""
        names = [pool.name for pool in self.pools]
        labels = [
            f"{name} {number + 1}" if names.count(name) > 1 else name
            for number, name in enumerate(names)
        ]
        return [
            {**record, "set": label, "specimen": f"{label}:{record['specimen']}"}
            for label, pool in zip(labels, self.pools, strict=True)
            for record in pool.records
        ]

    def image(self, number: int) -> Micrograph:
        """Return a clean image."""
        rest = number
        for pool in self.pools:
            if rest < len(pool):
                return pool.image(rest)
            rest -= len(pool)
        msg = f"There is no image {number}."
        raise IndexError(msg)


def open_pool(
    datasets: Sequence[str], images: Sequence[Path], *, block: int = 1
) -> Pool:
    """Open everything that the user gave as one pool.

    Parameters
    ----------
    datasets : sequence of str
        Files that ``lowdose simulate`` made, or "sample".
    images : sequence of Path
        Micrographs, or folders of them, searched for files that can be read.
    block : int, optional
        Edge of the blocks of pixels that micrographs are averaged over first [px].

    Returns
    -------
    Pool

    Raises
    ------
    ParameterError
        If nothing is given, or the block is below 1.
    InputError, FormatError
        If a file cannot be opened, or a folder has none that can be read.
    """
    if block < 1:
        msg = f"Images cannot be averaged over blocks of {block} px; give 1 or more."
        raise ParameterError(msg)
    pools: list[Pool] = [
        SimulatedPool(dataset=open_sample() if name == SAMPLE else Dataset(name))
        for name in datasets
    ]
    if images:
        pools.append(FolderPool(frames=_frames(images), block=block))
    if not pools:
        msg = "There are no images. Give a data set or a folder of micrographs."
        raise ParameterError(msg)
    return pools[0] if len(pools) == 1 else MixedPool(pools=tuple(pools))


def simulate_missing(
    preset: Preset,
    folder: Path,
    *,
    count: int,
    seed: int,
    workers: int,
    should_stop: ShouldStop,
) -> Generator[Progress, None, str]:
    """Simulate a set for a protocol, or return the sample where that cannot be done.

    Parameters
    ----------
    preset : Preset
        What to simulate.
    folder : Path
        Where the set goes; a set that is there is taken.
    count : int
        Images, or movies.
    seed : int
        Of the set.
    workers : int
        Processes.
    should_stop : callable
        Asked now and then.

    Yields
    ------
    Progress
        Stage ``"simulate"``.

    Returns
    -------
    str
        The file, or "sample" where the preset needs the extra ``simulate`` and it is
        not installed.
    """
    from lowdose.simulation.generation import iter_simulate

    if preset.name != "drawn" and importlib.util.find_spec("abtem") is None:
        return SAMPLE
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{preset.name}-seed{seed}-{count}.h5"
    made = yield from iter_simulate(
        preset,
        path,
        count=count,
        seed=seed,
        workers=workers,
        resume=True,
        should_stop=should_stop,
    )
    return str(made)


def _frames(places: Sequence[Path]) -> tuple[tuple[Path, int], ...]:
    found: list[tuple[Path, int]] = []
    for place in places:
        if place.is_dir() and not (place / "zarr.json").exists():
            here = [
                frame
                for file in sorted(place.rglob("*"))
                if file.is_file()
                for frame in _frames_of(file, strict=False)
            ]
            if not here:
                msg = f"{place} has no file in it that can be read as a micrograph."
                raise InputError(msg)
            found += here
        else:
            found += _frames_of(place, strict=True)
    return tuple(found)


def _frames_of(file: Path, *, strict: bool) -> list[tuple[Path, int]]:
    try:
        number = io.read(file).n_frames
    except LowDoseError:
        if strict:
            raise
        return []  # a folder of micrographs may have notes in it, too
    return [(file.resolve(), frame) for frame in range(number)]


def _averaged(
    pixels: np.ndarray[Any, np.dtype[np.float64]],
    calibration: Calibration,
    block: int,
) -> tuple[np.ndarray[Any, np.dtype[np.float64]], Calibration]:
    """Average blocks of pixels; rows and columns that fill none are left out."""
    height, width = (side // block for side in pixels.shape)
    if not height or not width:
        msg = f"Blocks of {block} px do not fit an image of {pixels.shape} px."
        raise ParameterError(msg)
    cut = pixels[: height * block, : width * block]
    means = cut.reshape(height, block, width, block).mean(axis=(1, 3))
    axes = tuple(
        Axis(
            label=axis.label,
            spacing=None if axis.spacing is None else axis.spacing * block,
            unit=axis.unit,
        )
        for axis in calibration.axes
    )
    return means, Calibration(axes=axes)
