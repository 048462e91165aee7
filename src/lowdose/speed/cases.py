"""One denoiser in one precision: all the ways to run it over a frame, timed."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lowdose.errors import DeviceError, OutOfMemoryError, is_out_of_memory
from lowdose.inference import DenoiseOptions, denoise, plan_step
from lowdose.inference.device import release_memory, resolve_place
from lowdose.inference.fitting import fitted
from lowdose.inference.rates import keep_rates, measure_rates
from lowdose.inference.tiling import plan_tiles
from lowdose.micrograph import Calibration, Micrograph
from lowdose.speed.bare import bare_calls
from lowdose.speed.memory import PeakMemory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from lowdose.denoiser import Denoiser
    from lowdose.inference.device import Place

#: Pixel size that networks of one sampling are told, and that tables state [nm].
_PIXEL_SIZE = 0.01
#: Dose of the frame that is denoised [e-/px].
DOSE: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What to measure.

    Parameters
    ----------
    denoiser : str
        Name in the catalogue, or path of a model folder; with its default values.
    device, precision : str
        As for :class:`~lowdose.inference.DenoiseOptions`.
    size : int
        Side of the frame [px].
    tiles : tuple of int or None
        Tiles to measure the engine with [px]; None is its own choice.
    repeats : int
        How often each is run after a first run; the fastest counts.
    compiled : bool
        Also measure networks through ``torch.compile``.
    tune : bool
        Measure the rates of tiles and batches first, and keep them for later runs.
    """

    denoiser: str
    device: str = "auto"
    precision: str = "auto"
    size: int = 1024
    tiles: tuple[int | None, ...] = (None, 256, 512, 1024)
    repeats: int = 3
    compiled: bool = False
    tune: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedRow:
    """One measurement.

    Parameters
    ----------
    denoiser : str
        Its name.
    way : str
        ``"engine"``; ``"untiled"``, one pass over the whole padded frame; or the bare
        call of a library.
    device, precision : str
        Where, in what arithmetic.
    tile : tuple of int
        Height and width of a patch [px].
    batch : int
        Patches at a time.
    seconds : float or None
        Fastest time for one frame [s]; None where it failed.
    megapixels_per_second : float or None
        Pixels of the frame by that time [Mpx/s].
    peak_mib : float or None
        Most memory above what the process, or the GPU, held before [MiB]; None where
        the system does not say.
    psnr : float or None
        Of the result, against the noiseless frame [dB].
    error : str
        Why it failed. Empty otherwise.
    """

    denoiser: str
    way: str
    device: str
    precision: str
    tile: tuple[int, int]
    batch: int
    seconds: float | None = None
    megapixels_per_second: float | None = None
    peak_mib: float | None = None
    psnr: float | None = None
    error: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the row as a dictionary of JSON types."""
        return {**asdict(self), "tile": list(self.tile)}


def measure_case(case: Case) -> Iterator[SpeedRow]:
    """Measure one case, row by row, in this process.

    Parameters
    ----------
    case : Case
        What to measure.

    Yields
    ------
    SpeedRow
        The bare calls, the untiled pass, and the engine with each tile.

    Raises
    ------
    LowDoseError
        If the denoiser cannot be made or placed.
    """
    from lowdose import catalogue

    clean = lattice(case.size)
    noisy = np.random.default_rng(0).poisson(clean).astype(np.float32)
    denoiser = fitted(catalogue.load(case.denoiser), _calibrated(noisy))
    options = DenoiseOptions(device=case.device, precision=case.precision)
    place = resolve_place(options, denoiser.needs)
    if case.tune and denoiser.needs.halo is not None:
        keep_rates(denoiser, place, measure_rates(denoiser, place, sides=_sides(case)))
    run = _Run(case=case, denoiser=denoiser, place=place, clean=clean, noisy=noisy)
    for way, call in bare_calls(denoiser, noisy, place, compiled=case.compiled):
        yield run.measure(way, call, tile=noisy.shape, batch=1)
    yield run.untiled()
    for tile in case.tiles:
        if tile is None or tile <= case.size:
            yield run.engine(tile)


def _calibrated(frame: NDArray[np.float32]) -> Micrograph:
    """Return a frame as a micrograph of the usual magnification of atoms."""
    calibration = Calibration.from_spacing((_PIXEL_SIZE,) * 2, ("nm", "nm"))
    return Micrograph(frame, calibration)


@dataclass(slots=True, kw_only=True)
class _Run:
    case: Case
    denoiser: Denoiser
    place: Place
    clean: NDArray[np.float64]
    noisy: NDArray[np.float32]

    def untiled(self) -> SpeedRow:
        needs = self.denoiser.needs
        # A plan of one tile is the padded frame; see lowdose.inference.tiling.
        whole = plan_tiles((self.case.size, self.case.size), needs)
        patch = np.repeat(
            np.ascontiguousarray(whole.cut(self.noisy, 0))[None, None], needs.frames, 1
        )
        self.denoiser.place(self.place.device, self.place.precision)
        measures = [self.denoiser.measure(self.noisy)]

        def call() -> NDArray[np.float32]:
            result = np.zeros_like(self.noisy)
            whole.paste(result, self.denoiser.denoise_patches(patch, measures)[0], 0)
            return result

        return self.measure("untiled", call, tile=whole.tile_shape, batch=1)

    def engine(self, tile: int | None) -> SpeedRow:
        options = DenoiseOptions(
            device=self.case.device,
            precision=self.case.precision,
            tile=tile,
            keep_mean=False,
        )
        image = _calibrated(self.noisy)
        details = plan_step(image, self.denoiser, options=options).details
        height, width = details["tile"]

        def call() -> NDArray[np.float32]:
            result: NDArray[np.float32] = denoise(
                image, self.denoiser, options=options
            ).data
            return result

        way = "engine" if tile is not None else "engine, own choice"
        return self.measure(way, call, tile=(height, width), batch=details["batch"])

    def measure(
        self,
        way: str,
        call: Callable[[], NDArray[np.float32]],
        *,
        tile: tuple[int, ...],
        batch: int,
    ) -> SpeedRow:
        """Time a call; one that does not fit the memory becomes a row that says so."""
        begun: dict[str, Any] = {
            "denoiser": self.denoiser.name,
            "way": way,
            "device": self.place.device,
            "precision": self.place.precision,
            "tile": (int(tile[0]), int(tile[1])),
            "batch": batch,
        }
        release_memory(self.place.device)
        memory = PeakMemory(self.place.device)
        try:
            result = call()
            seconds = min(_timed(call) for _ in range(self.case.repeats))
        except (OutOfMemoryError, DeviceError) as error:
            return SpeedRow(**begun, error=str(error))
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            return SpeedRow(**begun, error=f"out of memory: {error}")
        return SpeedRow(
            **begun,
            seconds=seconds,
            megapixels_per_second=self.noisy.size / seconds / 1e6,
            peak_mib=memory.peak(),
            psnr=psnr(result, self.clean) if result.shape == self.clean.shape else None,
        )


def lattice(side: int) -> NDArray[np.float64]:
    """Return a lattice of blurred columns, as expected counts.

    Parameters
    ----------
    side : int
        Side of the frame [px].

    Returns
    -------
    ndarray, shape (side, side), float64
        Expected electrons [e-/px], of mean :data:`DOSE`.
    """
    y, x = np.mgrid[:side, :side] * (2 * np.pi / 17)
    expected: NDArray[np.float64] = DOSE * (1 + 0.5 * np.cos(x) * np.cos(y))
    return expected


def psnr(result: NDArray[np.float32], clean: NDArray[np.float64]) -> float:
    """Return the peak signal-to-noise ratio, the peak being the range of `clean` [dB].

    Infinite where the two are equal.
    """
    error = float(np.square(result.astype(np.float64) - clean).mean())
    if error == 0:
        return math.inf
    return float(10 * np.log10(np.ptp(clean) ** 2 / error))


def _timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _sides(case: Case) -> tuple[int, ...]:
    return tuple(tile for tile in case.tiles if tile is not None)
