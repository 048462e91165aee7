"""What the table of filters says of each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lowdose.filters.binning import INTERPOLATION_REACH
from lowdose.parameters import Parameter, Value

if TYPE_CHECKING:
    from lowdose.denoiser import Measures

Values = Mapping[str, Value]
Frame = NDArray[np.float64]

SCALE = Parameter(
    name="scale",
    kind="choice",
    default="noise",
    choices=("noise", "range"),
    help="Unit of the amplitudes above: the measured noise, or the range of the frame.",
    advanced=True,
)

VST = Parameter(
    name="vst",
    kind="choice",
    default="none",
    choices=("none", "counts", "auto"),
    help=(
        "Make the noise uniform first (Anscombe): for electron counts, or with gain "
        "and offset estimated on the frame."
    ),
)

BINNING = Parameter(
    name="binning",
    kind="int",
    default=1,
    minimum=1,
    maximum=16,
    unit="px",
    help="Sum blocks of this edge, denoise those and interpolate back; 1 is off.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterSpec:
    """A classical filter, as the table of filters lists it.

    Parameters
    ----------
    name : str
        Name in the catalogue.
    title : str
        Name for people.
    summary : str
        One sentence: what it does and when to take it.
    reference : str
        Publication, with DOI.
    own : tuple of Parameter
        Parameters of the filter itself. With :data:`SCALE` among them it is given
        frames divided by their noise or range.
    apply : callable
        ``apply(frame, values, measures) -> frame``; pure.
    reach : callable
        ``reach(values)``: how far [px] an input pixel changes the output, or None
        for a global operator.
    multiple : callable, optional
        ``multiple(values)``: patches have to start at multiples of this [px].
    neighbours : callable, optional
        ``neighbours(values)``: frames that it sees on either side of its own. If any,
        `apply` is given frames of shape (F, H, W), its own in the middle.
    measure : callable, optional
        ``measure(frame, values)``: numbers of the whole frame that `apply` needs.
    presets : mapping of str to mapping, optional
        Named sets of values.
    bytes_per_pixel : float
        Peak working memory of the denoiser per pixel [B], measured with `vst` on and
        no binning.
    """

    name: str
    title: str
    summary: str
    reference: str
    own: tuple[Parameter, ...]
    apply: Callable[[Frame, Values, Measures], Frame]
    reach: Callable[[Values], int | None]
    multiple: Callable[[Values], int] = lambda _values: 1
    neighbours: Callable[[Values], int] = lambda _values: 0
    measure: Callable[[Frame, Values], dict[str, float]] = field(
        default=lambda _frame, _values: {}
    )
    presets: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    bytes_per_pixel: float

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Every parameter: its own, then those of the wrappers `vst` and `binning`."""
        return (*self.own, VST, BINNING)

    def halo(self, values: Values) -> int | None:
        """Return the distance [px] that inputs reach, binning included."""
        reach = self.reach(values)
        binning = int(values["binning"])
        if reach is None or binning == 1:
            return reach
        return (reach + INTERPOLATION_REACH) * binning
