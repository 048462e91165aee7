"""Model cards: what a model is, what it was trained on, and what was measured.

A card is plain data read from TOML. Every entry that the program acts upon is
checked here, because a model folder may come from anywhere.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal, cast, get_args

from lowdose.errors import ParameterError, WeightsError, did_you_mean
from lowdose.networks import ARCHITECTURES
from lowdose.parameters import Parameter
from lowdose.zoo.sampling import MOST_BINNING, Sampling

if TYPE_CHECKING:
    from pathlib import Path

Normalisation = Literal["mean-and-noise", "min-max", "counts"]

#: Version of the layout of a model folder.
FORMAT: Final = 1
CARD: Final = "card.toml"
WEIGHTS: Final = "weights.safetensors"

#: No honest card is longer than this [B].
_CARD_LIMIT: Final = 1_000_000
#: Largest sizes that a card may ask for [px].
_SIZE_LIMIT: Final = 8192

_VIEWS: Final = Parameter(
    name="views",
    kind="choice",
    default="1",
    choices=("1", "2", "4", "8"),
    help="Average over so many mirrored and turned views: slower, a little better.",
)

_BINNING: Final = Parameter(
    name="binning",
    kind="int",
    default=0,
    minimum=0,
    maximum=MOST_BINNING,
    unit="px",
    help=(
        "Sum blocks of so many pixels before the network, whose answer is interpolated "
        "back; 0 chooses by the pixel size, so that the network sees what it knows."
    ),
)

_BAND: Final = replace(
    _BINNING,
    help=(
        "Sum blocks of so many pixels before the network, whose answer is interpolated "
        "back; 0 sums as many as the spectrum of the first frame lets, 1 none."
    ),
)

_NOISE: Final = (
    Parameter(
        name="noise",
        kind="choice",
        default="auto",
        choices=("auto", "counts", "blind"),
        help=(
            "auto: electron counts where the frame looks like it, else blind; "
            "counts: Poisson with the gain below; blind: left to the network."
        ),
    ),
    Parameter(
        name="gain",
        kind="float",
        default=1.0,
        minimum=1e-6,
        maximum=1e6,
        unit="counts/e-",
        help="Detector counts per electron, for noise=counts.",
        advanced=True,
    ),
    Parameter(
        name="offset",
        kind="float",
        default=0.0,
        minimum=-1e6,
        maximum=1e6,
        unit="counts",
        help="Detector counts without electrons, for noise=counts.",
        advanced=True,
    ),
    Parameter(
        name="read_noise",
        kind="float",
        default=0.0,
        minimum=0.0,
        maximum=1e6,
        unit="counts",
        help="Deviation of the counts without electrons, for noise=counts.",
        advanced=True,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """The card of one model.

    Parameters
    ----------
    name, title, summary : str
        Name in the catalogue, and what it is in a few words and in a sentence.
    licence : str
        SPDX name of the licence of the weights.
    reference : str
        Publication or page that describes the architecture.
    architecture : str
        Key of :data:`lowdose.networks.ARCHITECTURES`.
    options : mapping
        Keyword arguments of the architecture.
    sha256 : str
        Checksum of the weight file, 64 hexadecimal digits.
    parameters_count : int
        Number of trainable parameters.
    halo : int or None
        Measured reach of the network [px]; None where it sees the whole patch.
    multiple : int
        Sizes are multiples of this [px].
    tile : int or None
        Edge [px] of the patches that a network without a halo wants; None for
        whole frames.
    overlap : int
        How much neighbouring patches of such a network overlap [px].
    border : int
        Reflected pixels laid round a frame [px], for networks that learnt with those.
    frames : int
        Number of input frames.
    bytes_per_pixel : float
        Working memory per input pixel [B].
    normalisation : {"mean-and-noise", "min-max", "counts"}
        What the network sees (see :func:`lowdose.networks.normalising.normalised`).
    sampling : Sampling or None
        Pixel sizes that the network works at; None where it takes any. Halo, tile
        and all else of the input then count in its pixels.
    band : bool
        Whether a network that takes any pixels is given sums of as many as the spectrum
        of a frame lets.
    views : {"1", "2", "4", "8"}
        Over how many mirrored and turned views it averages by default.
    details : mapping
        Everything else on the card: valid pixel size [nm] and dose [e-/px],
        training, measured numbers with the command that printed them.
    group : {"pretrained", "baseline", "yours"}
        Whether it came with the package: to be used, or to be compared with.
    folder : Path
        Where it lies.
    """

    name: str
    title: str
    summary: str
    licence: str
    architecture: str
    sha256: str
    parameters_count: int
    halo: int | None
    multiple: int
    folder: Path
    reference: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    tile: int | None = None
    overlap: int = 64
    border: int = 0
    frames: int = 1
    bytes_per_pixel: float = 512.0
    normalisation: Normalisation = "mean-and-noise"
    sampling: Sampling | None = None
    band: bool = False
    views: str = "1"
    details: Mapping[str, Any] = field(default_factory=dict)
    group: str = "yours"

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """What a user can set."""
        noise = _NOISE if self.options.get("conditions") else ()
        binning = (_BINNING,) if self.sampling is not None else ()
        binning = (_BAND,) if self.band else binning
        return (*binning, *noise, replace(_VIEWS, default=self.views))

    def spreads(self, binning: int) -> bool:
        """Tell whether the answer of the network is interpolated to the full grid."""
        return self.sampling is not None or (self.band and binning > 1)

    def to_dict(self) -> dict[str, Any]:
        """Return the card as JSON types, without the folder."""
        return {
            "name": self.name,
            "title": self.title,
            "summary": self.summary,
            "licence": self.licence,
            "reference": self.reference,
            "architecture": self.architecture,
            "options": dict(self.options),
            "sha256": self.sha256,
            "parameters": self.parameters_count,
            "halo": self.halo,
            "multiple": self.multiple,
            "frames": self.frames,
            **({"sampling": self.sampling.to_table()} if self.sampling else {}),
            **({"band": True} if self.band else {}),
            **{key: _plain(value) for key, value in self.details.items()},
        }


def read_card(folder: Path, *, group: str = "yours") -> ModelCard:
    """Read and check the card of a model folder.

    Parameters
    ----------
    folder : Path
        The model folder.
    group : {"pretrained", "baseline", "yours"}, optional
        Whether it came with the package: to be used, or to be compared with.

    Returns
    -------
    ModelCard

    Raises
    ------
    WeightsError
        If there is no card, or it is too long, is not TOML, lacks an entry, or has
        an entry of a wrong type or out of range.
    """
    path = folder / CARD
    try:
        with path.open("rb") as file:
            raw = file.read(_CARD_LIMIT + 1)
    except OSError as error:
        msg = (
            f"{folder} is not a model folder: {CARD} cannot be read ({error.strerror})."
        )
        raise WeightsError(msg) from error
    if len(raw) > _CARD_LIMIT:
        msg = f"{path} is longer than {_CARD_LIMIT} bytes; that is no model card."
        raise WeightsError(msg)
    try:
        table = tomllib.loads(raw.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        msg = f"{path} is not a TOML file: {error}."
        raise WeightsError(msg) from error
    try:
        return _card(table, folder, group)
    except ParameterError as error:
        msg = f"{path}: {error}"
        raise WeightsError(msg) from error


def check_name(name: str) -> None:
    """Refuse a name that could not be a folder's on every system.

    Raises
    ------
    ParameterError
        If it has other characters than letters, digits, '.', '_' and '-'.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        msg = f"name={name!r} must be letters, digits, '.', '_' and '-' alone."
        raise ParameterError(msg)


def _card(table: Mapping[str, Any], folder: Path, group: str) -> ModelCard:
    version = _entry(table, "format", int)
    if version != FORMAT:
        msg = f"format={version} is not {FORMAT}; another version of lowdose wrote it."
        raise ParameterError(msg)
    name = _entry(table, "name", str)
    check_name(name)
    architecture = _entry(table, "architecture", str)
    if architecture not in ARCHITECTURES:
        near = did_you_mean(architecture, ARCHITECTURES)
        msg = f"architecture={architecture!r} is not known. {near}"
        raise ParameterError(msg)
    weights = _entry(table, "weights", dict)
    sha256 = _entry(weights, "sha256", str)
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        msg = f"sha256={sha256!r} is not 64 hexadecimal digits."
        raise ParameterError(msg)
    input_ = _entry(table, "input", dict)
    halo = _size(input_, "halo", 0) if "halo" in input_ else None
    used = {"format", "name", "title", "summary", "licence", "reference"}
    used |= {"architecture", "options", "weights", "input", "sampling"}
    return ModelCard(
        name=name,
        title=_entry(table, "title", str),
        summary=_entry(table, "summary", str),
        licence=_entry(table, "licence", str),
        reference=str(table.get("reference", "")),
        architecture=architecture,
        options=_entry(table, "options", dict),
        sha256=sha256,
        parameters_count=_entry(weights, "parameters", int),
        halo=halo,
        multiple=_size(input_, "multiple", 1),
        tile=_size(input_, "tile", 16) if "tile" in input_ else None,
        overlap=_size(input_, "overlap", 0) if "overlap" in input_ else 64,
        border=_size(input_, "border", 0),
        frames=_size(input_, "frames", 1),
        bytes_per_pixel=float(_size(input_, "bytes_per_pixel", 1)),
        normalisation=_normalisation(input_),
        views=_views(input_),
        band=_band(input_, table),
        sampling=(
            Sampling.from_table(_entry(table, "sampling", dict))
            if "sampling" in table
            else None
        ),
        details={key: value for key, value in table.items() if key not in used},
        group=group,
        folder=folder,
    )


def _entry(table: Mapping[str, Any], key: str, wanted: type[Any]) -> Any:
    if key not in table:
        msg = f"the entry {key!r} is missing."
        raise ParameterError(msg)
    value = table[key]
    if not isinstance(value, wanted) or isinstance(value, bool):
        msg = f"{key}={value!r} must be of type {wanted.__name__}."
        raise ParameterError(msg)
    return value


def _normalisation(table: Mapping[str, Any]) -> Normalisation:
    kind = table.get("normalisation", "mean-and-noise")
    for known in get_args(Normalisation):
        if kind == known:
            return cast("Normalisation", kind)
    near = did_you_mean(str(kind), get_args(Normalisation))
    msg = f"normalisation={kind!r} is not known. {near}"
    raise ParameterError(msg)


def _band(input_: Mapping[str, Any], table: Mapping[str, Any]) -> bool:
    band = input_.get("band", False)
    if not isinstance(band, bool):
        msg = f"band={band!r} must be true or false."
        raise ParameterError(msg)
    if band and "sampling" in table:
        msg = "band=true and a table [sampling] exclude each other."
        raise ParameterError(msg)
    return band


def _views(table: Mapping[str, Any]) -> str:
    views = table.get("views", 1)
    if isinstance(views, bool) or str(views) not in _VIEWS.choices:
        msg = f"views={views!r} must be one of {', '.join(_VIEWS.choices)}."
        raise ParameterError(msg)
    return str(views)


def _size(table: Mapping[str, Any], key: str, low: int) -> int:
    value: int = _entry(table, key, int)
    if not low <= value <= _SIZE_LIMIT:
        msg = f"{key}={value} must lie between {low} and {_SIZE_LIMIT}."
        raise ParameterError(msg)
    return value


def _plain(value: Any) -> Any:
    """Turn TOML's dates into text; the rest is JSON already."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool) else str(value)
