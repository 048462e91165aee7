"""How fast a denoiser is with each size of tile and batch, as measured on this machine.

The model of the cost of a frame is

    seconds = tiles * pixels of a tile * seconds per pixel (side, batch)

with the seconds per pixel measured by :func:`measure_rates` on a few sides and batches,
and everything between them taken from the nearest one: memory caches and launch
overheads make steps that no formula of two constants follows. What was measured is kept
in a small file per user, under a key that names processor, threads, versions, denoiser
and precision; another machine that shares the home directory has another key.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import secrets
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import platformdirs

import lowdose
from lowdose.errors import OutOfMemoryError, is_out_of_memory
from lowdose.inference.overlap import usable_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lowdose.denoiser import Denoiser
    from lowdose.inference.device import Place

#: Sides of the tiles that are measured unless told otherwise [px].
SIDES: Final = (256, 512, 1024, 2048)
#: Batches that are measured unless told otherwise.
BATCHES: Final = (1, 4)

#: Sides of other tiles are taken to be as fast as a measured one up to this ratio.
_NEAR: Final = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """One measurement.

    Parameters
    ----------
    side : int
        Side of the square tiles, halo included [px].
    batch : int
        Tiles at a time.
    seconds : float
        Time per pixel of input [s].
    """

    side: int
    batch: int
    seconds: float


def machine_name(device: str = "cpu") -> str:
    """Return what computes, in words: processor or GPU, and how many threads."""
    if device.startswith("cuda"):
        import torch

        return str(torch.cuda.get_device_name(device))
    return f"{_processor()}, {usable_threads()} threads"


def rates_file() -> Path:
    """Return the file that the measurements are kept in.

    In the user's cache folder, or in the one that ``LOWDOSE_CACHE`` names.
    """
    named = os.environ.get("LOWDOSE_CACHE")
    folder = Path(named) if named else platformdirs.user_cache_path("lowdose")
    return folder / "rates.json"


def rates_key(denoiser: Denoiser, place: Place) -> str:
    """Return the key of a denoiser on this machine: a sha256 of all that matters."""
    facts = {
        "denoiser": denoiser.describe(),
        "machine": machine_name(place.device),
        "precision": place.precision,
        "versions": [lowdose.__version__, platform.python_version()],
    }
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def known_rates(denoiser: Denoiser, place: Place) -> tuple[Rate, ...]:
    """Return what was measured of a denoiser on this machine; nothing where not.

    A file that cannot be read, or holds something else, counts as nothing: it only
    says how to be faster.
    """
    if not rates_file().is_file():
        return ()
    try:
        entry = _load().get(rates_key(denoiser, place), [])
        rates = [Rate(side=int(s), batch=int(b), seconds=float(t)) for s, b, t in entry]
    except (TypeError, ValueError):
        return ()
    return tuple(
        rate
        for rate in rates
        if rate.side > 0 and rate.batch > 0 and 0 < rate.seconds < math.inf
    )


def keep_rates(denoiser: Denoiser, place: Place, rates: Iterable[Rate]) -> Path:
    """Keep measurements for later runs on this machine.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    path = rates_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    known = _load()
    known[rates_key(denoiser, place)] = [[r.side, r.batch, r.seconds] for r in rates]
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    part.write_text(json.dumps(known), encoding="utf-8")
    os.replace(part, path)
    return path


def measure_rates(
    denoiser: Denoiser,
    place: Place,
    *,
    sides: Iterable[int] = SIDES,
    batches: Iterable[int] = BATCHES,
    seconds: float = 1.0,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[Rate, ...]:
    """Measure how fast a denoiser is.

    Parameters
    ----------
    denoiser : Denoiser
        It is placed on the device first.
    place : Place
        Device and precision.
    sides : iterable of int, optional
        Sides of tiles, rounded up to its size multiple [px].
    batches : iterable of int, optional
        Tiles at a time.
    seconds : float, optional
        Each is repeated for at least so long, and the fastest time counts [s].
    clock : callable, optional
        Returns the time [s].

    Returns
    -------
    tuple of Rate
        Without those that did not fit the memory.
    """
    needs = denoiser.needs
    denoiser.place(place.device, place.precision)
    rng = np.random.default_rng(0)
    rates = []
    for side in sorted({-(-side // needs.multiple) * needs.multiple for side in sides}):
        measures = denoiser.measure(rng.poisson(5, (side, side)).astype(np.float32))
        for batch in sorted(set(batches)):
            shape = (batch, needs.frames, side, side)
            try:
                patches = rng.poisson(5, shape).astype(np.float32)
                fastest = _fastest(
                    lambda patches=patches, known=[measures] * batch: (  # type: ignore[misc]
                        denoiser.denoise_patches(patches, known)
                    ),
                    seconds,
                    clock,
                )
            except (OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                break
            rates.append(
                Rate(side=side, batch=batch, seconds=fastest / (batch * side * side))
            )
    return tuple(rates)


def seconds_per_pixel(rates: Iterable[Rate], side: int) -> tuple[float, int] | None:
    """Return the least time per pixel at a side and the batch that has it.

    Parameters
    ----------
    rates : iterable of Rate
        What was measured.
    side : int
        Side of the tiles [px].

    Returns
    -------
    tuple of float and int, or None
        None where nothing near this side was measured.
    """
    near = [r for r in rates if 1 / _NEAR <= r.side / side <= _NEAR]
    if not near:
        return None
    nearest = min(abs(math.log(r.side / side)) for r in near)
    best = min(
        (r for r in near if abs(math.log(r.side / side)) <= nearest + 1e-9),
        key=lambda r: r.seconds,
    )
    return best.seconds, best.batch


def _fastest(
    work: Callable[[], object], seconds: float, clock: Callable[[], float]
) -> float:
    work()  # the first one also allocates, compiles and tunes
    begin, best = clock(), math.inf
    while best == math.inf or clock() - begin < seconds:
        start = clock()
        work()
        best = min(best, clock() - start)
    return max(best, 1e-9)


def _load() -> dict[str, Any]:
    try:
        known = json.loads(rates_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


@lru_cache(maxsize=1)
def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except (OSError, ValueError):
        pass
    return platform.processor() or platform.machine()
