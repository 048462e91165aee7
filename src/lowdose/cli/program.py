"""The parser, the table of commands, and the one place where errors become text."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any, Final, Protocol

import lowdose
from lowdose.cli import (
    bench,
    benchmark,
    compare,
    demo,
    denoise,
    denoisers,
    info,
    inspect,
    models,
    networks,
    simulate,
    train,
)
from lowdose.cli.terminal import FAILED, USAGE, report_error, say, warnings_as_text
from lowdose.errors import (
    Cancelled,
    LowDoseError,
    ParameterError,
    UnknownDenoiserError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


class Command(Protocol):
    """What a module of a command has."""

    #: Name on the command line.
    NAME: str
    #: One line for the list of commands.
    SUMMARY: str
    #: Text of ``--help`` above and below the options.
    DESCRIPTION: str
    EXAMPLES: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Do it, and return the exit code."""


#: Every command, in the order of ``--help``.
COMMANDS: Final[tuple[Command, ...]] = (
    denoise,
    inspect,
    compare,
    denoisers,
    networks,
    models,
    info,
    simulate,
    train,
    benchmark,
    bench,
    demo,
)

#: Errors in what was asked for, as opposed to errors met while doing it.
_USAGE_ERRORS: Final = (ParameterError, UnknownDenoiserError)

_DESCRIPTION: Final = """\
Denoise low-dose electron micrographs: TIFF, MRC, DM3/DM4, EMD, SER, HDF5, Zarr.

Counts stay counts: nothing is rescaled or clipped, the mean is kept, and pixel size,
frame time and section spacing go along into the result.
"""

_EPILOGUE: Final = """\
examples:
  lowdose demo                                    try it on a bundled movie
  lowdose info stack.mrc                          what is in a file
  lowdose denoise stack.tif -o clean.tif          with the pretrained network
  lowdose denoise 'day1/*.dm4' -o clean/          a whole folder
  lowdose denoisers                               what there is beside the network
  lowdose COMMAND --help                          more on a command

exit codes:
  0  everything was done
  1  a file failed, or the work was cancelled (the messages say which and why)
  2  the command was wrong; nothing was done
"""


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of our texts, and has room for long names of options."""

    def __init__(self, prog: str, **options: Any) -> None:
        super().__init__(prog, **{"max_help_position": 28, **options})


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="lowdose",
        description=_DESCRIPTION,
        epilog=_EPILOGUE,
        formatter_class=_HelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "-V", "--version", action="version", version=f"lowdose {lowdose.__version__}"
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for command in COMMANDS:
        subparser = commands.add_parser(
            command.NAME,
            help=command.SUMMARY,
            description=command.DESCRIPTION,
            epilog=command.EXAMPLES,
            formatter_class=_HelpFormatter,
            allow_abbrev=False,
        )
        command.add_arguments(subparser)
        subparser.set_defaults(run=command.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name. None: those of the process.

    Returns
    -------
    int
        Exit code: 0 where everything was done, 1 where a file failed or the work
        was cancelled, 2 where the command was wrong.

    Raises
    ------
    SystemExit
        From the parser, after ``--help``, ``--version`` (code 0) and arguments that
        it does not know (code 2).

    Notes
    -----
    With the environment variable ``LOWDOSE_DEBUG=1`` errors show their traceback.
    """
    parser = build_parser()
    arguments = parser.parse_args(argv)
    if "run" not in arguments:
        parser.print_help(sys.stderr)
        return USAGE
    try:
        with warnings_as_text():
            code: int = arguments.run(arguments)
            sys.stdout.flush()
    except Cancelled as decision:
        say(str(decision))
        return FAILED
    except LowDoseError as error:
        report_error(error)
        return USAGE if isinstance(error, _USAGE_ERRORS) else FAILED
    except KeyboardInterrupt:
        say("Cancelled.")
        return FAILED
    except BrokenPipeError:
        # The reader of our output, such as `head`, went away. Python would complain
        # once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return code
