"""A report: words, tables and pictures, as a folder of files and as one page."""

from __future__ import annotations

import base64
import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lowdose.benchmark.tables import Table
from lowdose.io import paths

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_STYLE: Final = """\
body { font: 15px/1.5 system-ui, sans-serif; max-width: 80rem; margin: 2rem auto;
       padding: 0 1rem; color: #222; background: #fff; }
img { max-width: 100%; } figure { margin: 1.5rem 0; }
figcaption { color: #555; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
td, th { padding: .2rem .7rem; text-align: left; vertical-align: top; }
th { border-bottom: 2px solid #666; } td { border-bottom: 1px solid #ddd; }
.number { text-align: right; }
pre { overflow-x: auto; background: #f4f4f4; padding: .7rem; }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """The beginning of a section.

    Parameters
    ----------
    text : str
        Its title.
    """

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A paragraph, or preformatted text.

    Parameters
    ----------
    text : str
        What is said.
    code : bool, optional
        Whether it is shown as it is, such as a command.
    """

    text: str
    code: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A plot, or images side by side.

    Parameters
    ----------
    name : str
        Name of its file, without the ending.
    caption : str
        What it shows; also read out where it cannot be seen.
    png : bytes
        The picture.
    """

    name: str
    caption: str
    png: bytes


Block = Heading | Words | Table | Picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that a benchmark found.

    Parameters
    ----------
    title : str
        Its title.
    blocks : sequence of Heading, Words, Table or Picture
        In the order of reading.
    """

    title: str
    blocks: Sequence[Block]

    @property
    def tables(self) -> list[Table]:
        """The tables, in order."""
        return [block for block in self.blocks if isinstance(block, Table)]

    def to_markdown(self) -> str:
        """Return the report as Markdown, with its pictures as files beside it."""
        lines = [f"# {self.title}", ""]
        for block in self.blocks:
            match block:
                case Heading():
                    lines += [f"## {block.text}", ""]
                case Words(code=True):
                    indented = [f"    {line}" for line in block.text.splitlines()]
                    lines += [*indented, ""]
                case Words():
                    lines += [block.text, ""]
                case Table(shown=False):
                    lines += [
                        f"{block.title}: [{block.name}.csv]({block.name}.csv)",
                        "",
                    ]
                case Table():
                    lines += [block.to_markdown()]
                case Picture():
                    lines += [f"![{block.caption}]({block.name}.png)", ""]
        return "\n".join(lines).rstrip() + "\n"

    def to_html(self) -> str:
        """Return the report as one page that needs no other file."""
        parts = [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>{html.escape(self.title)}</title>",
            f"<style>{_STYLE}</style></head><body>",
            f"<h1>{html.escape(self.title)}</h1>",
        ]
        for block in self.blocks:
            match block:
                case Heading():
                    parts.append(f"<h2>{html.escape(block.text)}</h2>")
                case Words(code=True):
                    parts.append(f"<pre>{html.escape(block.text)}</pre>")
                case Words():
                    parts.append(f"<p>{html.escape(block.text)}</p>")
                case Table(shown=False):
                    text = f"{block.title}: in {block.name}.csv beside this page."
                    parts.append(f"<p>{html.escape(text)}</p>")
                case Table():
                    parts.append(block.to_html())
                case Picture():
                    caption = html.escape(block.caption)
                    data = base64.b64encode(block.png).decode("ascii")
                    parts.append(
                        f'<figure><img alt="{caption}" '
                        f'src="data:image/png;base64,{data}">'
                        f"<figcaption>{caption}</figcaption></figure>"
                    )
        return "\n".join([*parts, "</body></html>"]) + "\n"

    def write(self, folder: Path) -> list[Path]:
        """Write ``report.html``, ``report.md``, every table as CSV, and the pictures.

        Parameters
        ----------
        folder : Path
            Where to; made where it is not there. Files of these names are replaced.

        Returns
        -------
        list of Path
            The files, the page first.

        Raises
        ------
        OutputError
            If one cannot be written.
        """
        written = [
            put(folder / "report.html", self.to_html().encode()),
            put(folder / "report.md", self.to_markdown().encode()),
        ]
        for block in self.blocks:
            if isinstance(block, Table):
                written.append(
                    put(folder / f"{block.name}.csv", block.to_csv().encode())
                )
            elif isinstance(block, Picture):
                written.append(put(folder / f"{block.name}.png", block.png))
        return written


def put(path: Path, contents: bytes) -> Path:
    """Write a file that is there completely or not at all, and return its path.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    with paths.in_words(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        part = paths.temporary_name(path)
        try:
            part.write_bytes(contents)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    return path
