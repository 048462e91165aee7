"""The command line: ``lowdose``, with one module per command.

Nothing heavy is imported until a command needs it, so that ``lowdose --help`` is
there at once.
"""

from lowdose.cli.program import main

__all__ = ["main"]
