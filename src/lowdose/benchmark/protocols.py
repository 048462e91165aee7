"""The protocols by name, and what can be set of each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from lowdose.benchmark import dose, ede2018
from lowdose.benchmark.em_denoise import GrapheneStudy
from lowdose.benchmark.movie import MovieStudy
from lowdose.benchmark.movie_sources import DrawnFilms, open_films
from lowdose.benchmark.options import check_options
from lowdose.benchmark.sbd import CONTRASTS, SbdStudy, check_pool
from lowdose.benchmark.sources import SAMPLE, open_pool, simulate_missing
from lowdose.errors import ParameterError, did_you_mean
from lowdose.filters import FILTERS
from lowdose.progress import never
from lowdose.simulation import drawn
from lowdose.simulation.crystal_presets import graphene_preset
from lowdose.simulation.dataset import Dataset
from lowdose.simulation.movie_presets import movie_preset
from lowdose.simulation.particle_presets import sbd_preset

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from pathlib import Path

    from lowdose.benchmark.movie_sources import FilmPool
    from lowdose.benchmark.options import Options
    from lowdose.benchmark.sources import Pool
    from lowdose.benchmark.study import Study
    from lowdose.progress import Progress, ShouldStop
    from lowdose.simulation.rendering import Preset


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A protocol in the table of protocols.

    Parameters
    ----------
    name : str
        Its name.
    summary : str
        One sentence.
    preset : callable
        Returns what is simulated where no images are given.
    simulated : callable
        Count to how many images, or movies, of the preset are needed.
    count : int
        The count by default.
    denoisers : callable
        Returns what is compared where nothing is asked for.
    takes : frozenset of str
        Names of the options that it knows.
    make : callable
        ``make(datasets, count, options)``.
    """

    name: str
    summary: str
    preset: Callable[[], Preset]
    simulated: Callable[[int], int]
    count: int
    denoisers: Callable[[], tuple[str, ...]]
    takes: frozenset[str]
    make: Callable[[Sequence[str], int, Options], Study]


def _lattices() -> tuple[str, ...]:
    """Return filters that are strong on lattices at low dose, and the networks."""
    return (
        "gaussian:sigma=8",
        "tuned:gaussian",
        "tuned:tv-chambolle",
        "tuned:nl-means",
        "tuned:bm3d",
        *_pretrained(),
    )


def _as_ede() -> tuple[str, ...]:
    """Return the paper's filters, some of them tuned, and the networks."""
    return (
        *ede2018.FILTERS,
        "tuned:gaussian",
        "tuned:wavelet",
        "tuned:tv-chambolle",
        "tuned:bm3d",
        *_pretrained(),
    )


def _everything() -> tuple[str, ...]:
    """Return every filter at its defaults, and the networks."""
    return (*FILTERS, *_pretrained())


def _graphene() -> tuple[str, ...]:
    filters = ("gaussian", "median", "tuned:gaussian", "tuned:bm3d")
    return (*filters, *_pretrained("baseline"))


def _movies() -> tuple[str, ...]:
    return ("tuned:gaussian", "tuned:bm3d", "pca", *_pretrained())


def _pretrained(*further: str) -> tuple[str, ...]:
    """Return the networks of the package, and those of further groups."""
    from lowdose import catalogue

    known = catalogue.list_denoisers()
    return tuple(info.name for info in known if info.group in ("pretrained", *further))


def _opened(datasets: Sequence[str], options: Options) -> Pool:
    return open_pool(datasets, options.images, block=options.block or 1)


def _sbd(datasets: Sequence[str], count: int, options: Options) -> Study:
    more: dict[str, Any] = {}
    if options.doses is not None:
        more["doses"] = options.doses
    if options.contrasts is not None:
        for name in options.contrasts:
            if name not in CONTRASTS:
                msg = f"There is no contrast {name!r}. {did_you_mean(name, CONTRASTS)}"
                raise ParameterError(msg)
        more["contrasts"] = options.contrasts
    pool = check_pool(_opened(datasets, options))
    return SbdStudy(pool=pool, count=count, seed=options.seed, **more)


def _ede2018(datasets: Sequence[str], count: int, options: Options) -> Study:
    return ede2018.EdeStudy(
        pool=_opened(datasets, options),
        count=count,
        seed=options.seed,
        side=options.size or ede2018.SIDE,
    )


def _dose(datasets: Sequence[str], count: int, options: Options) -> Study:
    return dose.DoseStudy(
        pool=_opened(datasets, options),
        count=count,
        seed=options.seed,
        doses=options.doses or dose.DOSES,
        side=options.size or dose.SIDE,
    )


def _em_denoise(datasets: Sequence[str], count: int, options: Options) -> Study:
    pool = _opened(datasets, options)
    return GrapheneStudy(pool=pool, count=count, seed=options.seed)


def _movie(datasets: Sequence[str], count: int, options: Options) -> Study:
    pool: FilmPool
    if len(datasets) != 1:
        msg = "The protocol movie takes one data set."
        raise ParameterError(msg)
    if datasets[0] == SAMPLE:  # nine in ten are tested, the others tuned on
        pool = DrawnFilms(number=count + max(1, -(-count // 9)))
    else:
        pool = open_films(Dataset(datasets[0]))
    return MovieStudy(
        pool=pool, count=count, seed=options.seed, doses=options.doses or (1.0,)
    )


#: Every protocol by its name.
PROTOCOLS: Final[Mapping[str, Entry]] = MappingProxyType(
    {
        entry.name: entry
        for entry in (
            Entry(
                name="sbd",
                summary="platinum on ceria at 0.45 e-/px: fidelity, atoms, vacuum",
                preset=sbd_preset,
                # Of three specimens in four an image is white; a tenth is set aside.
                simulated=lambda count: 4 * (count * 3 // 2 + 8),
                count=100,
                denoisers=_lattices,
                takes=frozenset({"datasets", "doses", "contrasts"}),
                make=_sbd,
            ),
            Entry(
                name="ede2018",
                summary="Poisson instances of 512 px crops, at two ranges of dose",
                preset=partial(drawn.preset, ede2018.SIDE),
                simulated=lambda count: min(count, 500) * 10 // 9 + 2,
                count=100,
                denoisers=_as_ede,
                takes=frozenset({"datasets", "images", "block", "size"}),
                make=_ede2018,
            ),
            Entry(
                name="dose",
                summary="every denoiser from 0.05 to 2500 e-/px",
                preset=partial(drawn.preset, dose.SIDE),
                simulated=lambda count: count * 10 // 9 + 2,
                count=20,
                denoisers=_everything,
                takes=frozenset({"datasets", "images", "block", "size", "doses"}),
                make=_dose,
            ),
            Entry(
                name="em-denoise",
                summary="graphene with an uneven beam and dead pixels",
                preset=graphene_preset,
                simulated=lambda count: 2 * (count * 5 // 9 + 2),
                count=100,
                denoisers=_graphene,
                takes=frozenset({"datasets", "images", "block"}),
                make=_em_denoise,
            ),
            Entry(
                name="movie",
                summary="frame by frame, and whether atoms hop in the right frame",
                preset=movie_preset,
                simulated=lambda count: count * 10 // 9 + 2,
                count=20,
                denoisers=_movies,
                takes=frozenset({"datasets", "doses"}),
                make=_movie,
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
    check_options(options, protocol=entry.name, takes=entry.takes)
    count = entry.count if options.count is None else options.count
    datasets = options.datasets
    if not datasets and not options.images:
        made = yield from simulate_missing(
            entry.preset(),
            folder,
            count=entry.simulated(count),
            seed=options.seed,
            workers=workers,
            should_stop=should_stop,
        )
        datasets = (made,)
    return entry.make(datasets, count, options)


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
