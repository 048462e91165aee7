"""What the widget offers to be made of a pair of layers, in plain words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of the list of checks.

    Parameters
    ----------
    name : str
        As in :data:`lowdose.trust.makers.MAKERS`.
    title : str
        What the box says.
    help : str
        What it does and how to read it.
    needs_denoiser : bool
        Whether it has to run the denoiser again.
    first : bool
        Whether it is ticked when the widget opens.
    shown : tuple of str
        Names of its maps that are shown at once; the others are in the list of maps.
    """

    name: str
    title: str
    help: str
    needs_denoiser: bool = False
    first: bool = True
    shown: tuple[str, ...] = ()


CHECKS: Final[tuple[Check, ...]] = (
    Check(
        name="bootstrap",
        title="Error map (parametric bootstrap)",
        help="Draws new noise on the denoised image and denoises it again, several\n"
        "times: the error to expect in every pixel, its bias and its spread.",
        needs_denoiser=True,
        shown=("expected error",),
    ),
    Check(
        name="evidence",
        title="Evidence for every atomic column",
        help="Tests on the noisy counts whether each column of the denoised image\n"
        "is there, against its own surroundings and against vacuum.",
        shown=("evidence",),
    ),
    Check(
        name="deviance",
        title="Local deviance",
        help="Where the counts contradict the denoised image: the standard score of\n"
        "the electrons counted round every pixel.",
        shown=("local deviance",),
    ),
    Check(
        name="residuals",
        title="Residual checks",
        help="Whether what was taken away is noise and nothing else: mean, strength,\n"
        "whiteness, and what is left of the lattice.",
        shown=("structure left behind",),
    ),
    Check(
        name="halves",
        title="Agreement of two halves of the electrons",
        help="Denoises two independent halves of the electrons and compares them.",
        needs_denoiser=True,
        first=False,
    ),
    Check(
        name="risk",
        title="Unbiased estimate of the error (PURE)",
        help="The mean squared error without knowing the truth. Right on average;\n"
        "very noisy in a single pixel.",
        needs_denoiser=True,
        first=False,
    ),
)

TITLES: Final = {check.name: check.title for check in CHECKS}

#: Maps that are shown beside the images without being asked for.
SHOWN: Final = tuple(name for check in CHECKS for name in check.shown)
