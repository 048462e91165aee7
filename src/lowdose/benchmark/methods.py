"""What is compared: denoisers with their parameters, tuned filters, the counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from lowdose.batch.spec import DenoiserSpec
from lowdose.benchmark.tuning import check_tunable
from lowdose.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Ways to tune a filter: on separate images with their truth, at each dose; or on the
#: counts of each image alone, by thinning.
Tuning = Literal["", "tuned", "thinned"]

#: Presets that repeat a publication to the last digit.
PUBLISHED_PRESETS: Final = frozenset({"ede2018", "as-published"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One row of a comparison.

    Parameters
    ----------
    label : str
        What it is called, as the user wrote it.
    spec : DenoiserSpec or None
        How to load it. None: the counts are left as they are.
    tuning : {"", "tuned", "thinned"}, optional
        Whether the other parameters are tuned: on separate images with the truth, at
        each dose; or on the counts of each image alone, by thinning.
    network : bool, optional
        Whether it is a network, as opposed to a filter.
    """

    label: str
    spec: DenoiserSpec | None
    tuning: Tuning = ""
    network: bool = False

    @property
    def as_published(self) -> bool:
        """Whether it repeats the call of a publication, and so keeps no mean."""
        return self.spec is not None and self.spec.preset in PUBLISHED_PRESETS

    def with_values(self, values: Mapping[str, Any]) -> DenoiserSpec:
        """Return how to load it with tuned values; given ones go before them."""
        assert self.spec is not None
        return DenoiserSpec(
            name=self.spec.name,
            preset=self.spec.preset,
            values={**values, **self.spec.values},
        )


#: The counts themselves, which every comparison has.
NOISY: Final = Method(label="noisy", spec=None)


def parse_method(text: str) -> Method:
    """Return the method that a user wrote.

    Parameters
    ----------
    text : str
        ``"NAME"``, ``"NAME:key=value,key=value"``, ``"tuned:NAME"`` or
        ``"thinned:NAME"``, the latter two also with `vst` and `binning`, which are then
        kept. The key ``preset`` names a preset. NAME is that of the catalogue, or the
        path of a model folder.

    Returns
    -------
    Method

    Raises
    ------
    ParameterError
        If a setting is no ``key=value``, or what cannot be tuned was to be.
    UnknownDenoiserError
        If there is no such denoiser.
    """
    from lowdose import catalogue

    if text == NOISY.label:
        return NOISY
    tuning: Tuning = ""
    for way in ("tuned", "thinned"):
        if text.startswith(f"{way}:"):
            tuning = way
    name, settings = _parted(text.removeprefix(f"{tuning}:") if tuning else text)
    values: dict[str, str] = {}
    for pair in filter(None, settings.split(",")):
        key, equals, value = pair.partition("=")
        if not equals or not key or not value:
            msg = (
                f"{pair!r} in {text!r} is no key=value. Write for instance "
                "gaussian:sigma=2, or gaussian:preset=ede2018."
            )
            raise ParameterError(msg)
        values[key] = value
    info = catalogue.describe(name)
    if tuning and info.group != "classical":
        msg = (
            f"{text!r}: {name} is a network, which is not tuned. Leave out '{tuning}:'."
        )
        raise ParameterError(msg)
    known = {parameter.name for parameter in info.parameters}
    preset = values.pop("preset") if "preset" in values.keys() - known else None
    spec = DenoiserSpec(name=name, preset=preset, values=values)
    spec.load()  # raises where a value or the preset is not allowed
    if tuning:
        check_tunable(spec, text)
    return Method(
        label=text, spec=spec, tuning=tuning, network=info.group != "classical"
    )


def parse_methods(texts: Iterable[str]) -> tuple[Method, ...]:
    """Return the methods, the noisy counts first, each once."""
    parsed = [NOISY, *(parse_method(text) for text in texts)]
    return tuple({method.label: method for method in parsed}.values())


def _parted(text: str) -> tuple[str, str]:
    """Part the name, which may be a path with a colon in it, from the rest."""
    from pathlib import Path

    from lowdose import catalogue

    if Path(text).is_dir():
        return text, ""
    name, _, settings = text.partition(":")
    if name in {info.name for info in catalogue.list_denoisers()}:
        return name, settings
    head, colon, tail = text.rpartition(":")
    return (head, tail) if colon and "=" in tail else (text, "")
