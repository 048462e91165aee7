"""Options that say what is known of the detector, for commands that judge noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowdose.errors import ParameterError

if TYPE_CHECKING:
    import argparse

    from lowdose.noise import NoiseModel


def add_noise_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``--gain``, ``--offset`` and ``--read-noise``."""
    group = parser.add_argument_group(
        "noise of the detector",
        "Electron counts are recognised; otherwise the noise is estimated from the "
        "image, unless it is given here.",
    )
    group.add_argument(
        "--gain", type=float, metavar="G", help="counts that one electron makes"
    )
    group.add_argument(
        "--offset", type=float, metavar="O", help="counts without electrons"
    )
    group.add_argument(
        "--read-noise",
        type=float,
        metavar="R",
        help="noise without electrons [counts rms]",
    )


def given_noise(arguments: argparse.Namespace) -> NoiseModel | None:
    """Return the noise that was given, or None.

    Raises
    ------
    ParameterError
        If offset or read noise are given without gain, or a number is not allowed.
    """
    from lowdose.noise import NoiseModel

    if arguments.gain is None:
        if arguments.offset is None and arguments.read_noise is None:
            return None
        msg = "--offset and --read-noise need --gain, the counts of one electron."
        raise ParameterError(msg)
    return NoiseModel(
        gain=arguments.gain,
        offset=arguments.offset or 0.0,
        read_noise=arguments.read_noise or 0.0,
    )
