"""The two Fourier filters of high-resolution TEM: Wiener and ABSF."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from lowdose.filters.arguments import as_amplitude, as_frame
from lowdose.filters.spec import FilterSpec, Frame, Values
from lowdose.filters.spectrum import (
    DELTA,
    LOW,
    STEP,
    rotational_background,
    spectrum_of,
)
from lowdose.noise import noise_sigma
from lowdose.parameters import Parameter

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from lowdose.denoiser import Measures

STRENGTH = Parameter(
    name="strength",
    kind="float",
    default=1.0,
    minimum=0.0,
    maximum=100.0,
    help="Background to assume, in units of the estimated one; larger is smoother.",
)
CUTOFF = Parameter(
    name="cutoff",
    kind="float",
    default=0.3,
    minimum=0.01,
    maximum=1.0,
    unit="1/px",
    help="Low-pass on top (Butterworth); 1 is nearly none, smaller is smoother.",
)
ORDER = Parameter(
    name="order",
    kind="float",
    default=2.0,
    minimum=0.5,
    maximum=20.0,
    help="Steepness of the low-pass.",
    advanced=True,
)
BACKGROUND = Parameter(
    name="background",
    kind="choice",
    default="rotational",
    choices=("rotational", "white"),
    help=(
        "Remove all that is alike in every direction, amorphous contrast too; or only "
        "white noise of the measured strength."
    ),
)

Kind = Literal["wiener", "absf"]


def hrtem_wiener(
    frame: ArrayLike,
    *,
    strength: float = 1.0,
    low: float = 0.02,
    cutoff: float = 0.3,
    order: float = 2.0,
    step: float = 2.0,
    delta: float = 1.0,
    noise: float | None = None,
) -> Frame:
    r"""Wiener filter of high-resolution images.

    The spectrum F is multiplied by

    .. math:: W = \max\!\left(0, \frac{|F|^2 - B}{|F|^2}\right)

    with B the background power at that spatial frequency, averaged over rings without
    the Bragg peaks [1]_ [2]_ (see
    :func:`lowdose.filters.spectrum.rotational_background`), and by a Butterworth
    low-pass.

    Parameters
    ----------
    frame : array_like, shape (H, W)
        Counts, finite.
    strength : float, optional
        Factor of the background: B is `strength` times what is estimated.
    low : float, optional
        Frequencies up to this are left as they are [1/px]: there the rotational
        average is the specimen's own, and has few pixels.
    cutoff, order : float, optional
        Frequency [1/px] and order of the low-pass.
    step : float, optional
        Width of the rings, in pixels of the spectrum of the longer side.
    delta : float, optional
        When the background has settled [%].
    noise : float, optional
        Standard deviation of white noise [counts], to be used as background in place
        of the rotational average. Amorphous contrast then stays.

    Returns
    -------
    ndarray, shape (H, W), float64
        The filtered frame, of the same mean but for the border. What is not
        periodic, such as an edge or a defect, is weakened with the background.

    Raises
    ------
    InvalidImageError
        If the frame is none.
    ParameterError
        If a parameter is out of its range.

    References
    ----------
    .. [1] L. D. Marks, "Wiener-filter enhancement of noisy HREM images",
       Ultramicroscopy 62 (1996) 43-52, doi:10.1016/0304-3991(95)00085-2.
    .. [2] R. Kilaas, "Optimal and near-optimal filters in high-resolution electron
       microscopy", J. Microsc. 190 (1998) 45-51,
       doi:10.1046/j.1365-2818.1998.3070861.x.
    """
    return _filtered(
        "wiener",
        as_frame(frame),
        strength=strength,
        low=low,
        cutoff=cutoff,
        order=order,
        step=step,
        delta=delta,
        noise=noise,
    )


def absf(
    frame: ArrayLike,
    *,
    strength: float = 1.0,
    low: float = 0.02,
    cutoff: float = 0.3,
    order: float = 2.0,
    step: float = 2.0,
    delta: float = 1.0,
    noise: float | None = None,
) -> Frame:
    r"""Average-background-subtraction filter of high-resolution images.

    As :func:`hrtem_wiener`, but amplitudes are subtracted in place of powers [1]_:

    .. math:: W = \max\!\left(0, \frac{|F| - \sqrt{B}}{|F|}\right).

    It takes off more of weak reflections, and leaves less noise.

    Parameters
    ----------
    frame : array_like, shape (H, W)
        Counts, finite.
    strength, low, cutoff, order, step, delta, noise : optional
        As for :func:`hrtem_wiener`; `strength` multiplies :math:`\sqrt{B}`.

    Returns
    -------
    ndarray, shape (H, W), float64
        The filtered frame.

    Raises
    ------
    InvalidImageError
        If the frame is none.
    ParameterError
        If a parameter is out of its range.

    References
    ----------
    .. [1] R. Kilaas, "Optimal and near-optimal filters in high-resolution electron
       microscopy", J. Microsc. 190 (1998) 45-51,
       doi:10.1046/j.1365-2818.1998.3070861.x.
    """
    return _filtered(
        "absf",
        as_frame(frame),
        strength=strength,
        low=low,
        cutoff=cutoff,
        order=order,
        step=step,
        delta=delta,
        noise=noise,
    )


def _filtered(
    kind: Kind,
    values: Frame,
    *,
    strength: float,
    low: float,
    cutoff: float,
    order: float,
    step: float,
    delta: float,
    noise: float | None,
) -> Frame:
    strength = float(STRENGTH.validate(strength))
    low, cutoff = float(LOW.validate(low)), float(CUTOFF.validate(cutoff))
    order, step = float(ORDER.validate(order)), float(STEP.validate(step))
    delta = float(DELTA.validate(delta))
    spectrum = spectrum_of(values)
    power = spectrum.power
    background: NDArray[np.float64] | float
    if noise is None:
        background = rotational_background(
            power, spectrum.frequency, step=step / max(spectrum.padded), delta=delta
        )
    else:
        background = as_amplitude("noise", noise) ** 2 * spectrum.energy
    share = np.divide(background, power, out=np.ones_like(power), where=power > 0)
    if kind == "absf":
        share = np.sqrt(share)
    factors = np.maximum(1.0 - strength * share, 0.0)
    factors[spectrum.frequency <= low] = 1.0
    factors /= 1.0 + (spectrum.frequency / cutoff) ** (2 * order)
    return spectrum.filtered(factors)


def _measure(frame: Frame, values: Values) -> dict[str, float]:
    white = values["background"] == "white"
    return {"noise_sigma": noise_sigma(frame)} if white else {}


def _arguments(values: Values, measures: Measures) -> dict[str, float | None]:
    names = ("strength", "low", "cutoff", "order", "step", "delta")
    return {
        **{name: float(values[name]) for name in names},
        "noise": measures.get("noise_sigma"),
    }


def _apply_wiener(frame: Frame, values: Values, measures: Measures) -> Frame:
    return hrtem_wiener(frame, **_arguments(values, measures))  # type: ignore[arg-type]


def _apply_absf(frame: Frame, values: Values, measures: Measures) -> Frame:
    return absf(frame, **_arguments(values, measures))  # type: ignore[arg-type]


_OWN = (STRENGTH, LOW, CUTOFF, BACKGROUND, ORDER, STEP, DELTA)

HRTEM_WIENER = FilterSpec(
    name="hrtem-wiener",
    title="Wiener filter of HRTEM",
    summary=(
        "Takes the rotationally averaged background off the power spectrum: for "
        "lattice images, whose defects and edges it weakens."
    ),
    reference=(
        "L. D. Marks, Ultramicroscopy 62 (1996) 43, doi:10.1016/0304-3991(95)00085-2"
    ),
    own=_OWN,
    apply=_apply_wiener,
    reach=lambda _values: None,
    measure=_measure,
    presets={"as-published": {"low": 0.0, "cutoff": 1.0, "order": 20.0}},
    bytes_per_pixel=170.0,
)

ABSF = FilterSpec(
    name="absf",
    title="Average background subtraction (ABSF)",
    summary=(
        "Takes the rotationally averaged background off the amplitudes: as the Wiener "
        "filter of HRTEM, with less noise and weaker weak reflections."
    ),
    reference=(
        "R. Kilaas, J. Microsc. 190 (1998) 45, doi:10.1046/j.1365-2818.1998.3070861.x"
    ),
    own=_OWN,
    apply=_apply_absf,
    reach=lambda _values: None,
    measure=_measure,
    presets={"as-published": {"low": 0.0, "cutoff": 1.0, "order": 20.0}},
    bytes_per_pixel=170.0,
)
