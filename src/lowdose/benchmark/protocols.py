"""The protocols by name, and what can be set of each."""

from __future__ import annotations

from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from lowdose.benchmark.sbd import SbdStudy, check_pool
from lowdose.benchmark.sources import open_pool, simulate_missing
from lowdose.errors import ParameterError, did_you_mean
from lowdose.progress import never

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping
    from pathlib import Path

    from lowdose.benchmark.sources import Pool
    from lowdose.benchmark.study import Study
    from lowdose.progress import Progress, ShouldStop


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What can be set of a protocol; None for its own choice.

    Parameters
    ----------
    count : int, optional
        How many images; of each class or dose where there are several.
    seed : int, optional
        Of choices and noise.
    datasets : tuple of str, optional
        Files that ``lowdose simulate`` made, or "sample".
    images : tuple of Path, optional
        Micrographs, or folders of them, taken as the truth.
    block : int, optional
        Edge of the blocks of pixels that micrographs are averaged over first [px].
    size : int, optional
        Side of crops [px].
    doses : tuple of float, optional
        In the unit of the protocol.
    contrasts : tuple of str, optional
        Classes of contrast.
    """

    count: int | None = None
    seed: int = 0
    datasets: tuple[str, ...] = ()
    images: tuple[Path, ...] = ()
    block: int | None = None
    size: int | None = None
    doses: tuple[float, ...] | None = None
    contrasts: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A protocol in the table of protocols.

    Parameters
    ----------
    name : str
        Its name.
    summary : str
        One sentence.
    preset : str
        What is simulated where no images are given.
    simulated : callable
        Count to how many images, or movies, of the preset are needed.
    count : int
        The count by default.
    denoisers : tuple of str
        What is compared where nothing is asked for.
    takes : frozenset of str
        Names of the options that it knows.
    make : callable
        ``make(pool, count, options)``.
    """

    name: str
    summary: str
    preset: str
    simulated: Callable[[int], int]
    count: int
    denoisers: tuple[str, ...]
    takes: frozenset[str]
    make: Callable[[Pool, int, Options], Study]


#: Filters that are strong on lattices at low dose, and the network for anything.
_LATTICES: Final = (
    "gaussian:sigma=8",
    "tuned:gaussian",
    "tuned:tv-chambolle",
    "tuned:nl-means",
    "tuned:bm3d",
    "general",
)


def _sbd(pool: Pool, count: int, options: Options) -> Study:
    more: dict[str, Any] = {}
    if options.doses is not None:
        more["doses"] = options.doses
    if options.contrasts is not None:
        more["contrasts"] = options.contrasts
    return SbdStudy(pool=check_pool(pool), count=count, seed=options.seed, **more)


#: Every protocol by its name.
PROTOCOLS: Final[Mapping[str, Entry]] = MappingProxyType(
    {
        entry.name: entry
        for entry in (
            Entry(
                name="sbd",
                summary="platinum on ceria at 0.45 e-/px: fidelity, atoms, vacuum",
                preset="sbd",
                # Of three specimens in four an image is white; a tenth is set aside.
                simulated=lambda count: 4 * (count * 3 // 2 + 8),
                count=100,
                denoisers=_LATTICES,
                takes=frozenset({"datasets", "doses", "contrasts"}),
                make=_sbd,
            ),
        )
    }
)


def build(
    name: str,
    options: Options,
    folder: Path,
    *,
    workers: int = 1,
    should_stop: ShouldStop = never,
) -> Generator[Progress, None, Study]:
    """Make a protocol ready to run, and simulate its images where none are given.

    Parameters
    ----------
    name : str
        A key of :data:`PROTOCOLS`.
    options : Options
        What is set.
    folder : Path
        Where images are simulated.
    workers : int, optional
        Processes to simulate with.
    should_stop : callable, optional
        Asked now and then.

    Yields
    ------
    Progress
        Stage ``"simulate"``.

    Returns
    -------
    Study

    Raises
    ------
    ParameterError
        If there is no such protocol, it does not know an option, or a value or the
        images do not suit it.
    InputError, FormatError
        If images cannot be read.
    """
    entry = find(name)
    _check(entry, options)
    count = entry.count if options.count is None else options.count
    datasets = options.datasets
    if not datasets and not options.images:
        made = yield from simulate_missing(
            entry.preset,
            folder,
            count=entry.simulated(count),
            seed=options.seed,
            workers=workers,
            should_stop=should_stop,
        )
        datasets = (made,)
    pool = open_pool(datasets, options.images, block=options.block or 1)
    return entry.make(pool, count, options)


def find(name: str) -> Entry:
    """Return a protocol of :data:`PROTOCOLS`.

    Raises
    ------
    ParameterError
        If there is none of that name.
    """
    if name not in PROTOCOLS:
        msg = f"There is no protocol {name!r}. {did_you_mean(name, PROTOCOLS)}"
        raise ParameterError(msg)
    return PROTOCOLS[name]


def _check(entry: Entry, options: Options) -> None:
    if options.count is not None and options.count < 1:
        msg = f"count={options.count} is too small; give a whole number from 1 on."
        raise ParameterError(msg)
    if options.seed < 0:
        msg = f"seed={options.seed} must be a whole number from 0 on."
        raise ParameterError(msg)
    for dose in options.doses or ():
        if not 0 < dose < float("inf"):
            msg = f"A dose of {dose:g} is not possible; give numbers above 0."
            raise ParameterError(msg)
    known = entry.takes | {"count", "seed"}
    for field in fields(options):
        given = getattr(options, field.name)
        if given and field.name not in known:
            msg = (
                f"The protocol {entry.name} has no option {field.name!r}. "
                f"{did_you_mean(field.name, known)}"
            )
            raise ParameterError(msg)
