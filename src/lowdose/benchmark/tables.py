"""One kind of table for every report: written as CSV, Markdown and HTML."""

from __future__ import annotations

import csv
import html
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table.

    Parameters
    ----------
    key : str
        Key of its values in the rows, and heading in the CSV.
    heading : str
        Heading for people, with the unit in brackets.
    digits : int, optional
        Decimals that people are shown; the CSV has all. None: four significant ones.
    text : bool, optional
        Whether it holds words, set to the left.
    best : {"", "most", "least"}, optional
        Whether its largest or least number is set in bold.
    factor : float, optional
        What numbers are multiplied by for people, as the heading says.
    """

    key: str
    heading: str
    digits: int | None = None
    text: bool = False
    best: str = ""
    factor: float = 1.0

    def show(self, value: Any) -> str:
        """Return a value as people read it; a dash where there is none."""
        if value is None or value == "":
            return "–"
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return str(value)
        if isinstance(value, int) and self.factor == 1:
            return str(value)
        number = value * self.factor
        if math.isnan(number):
            return "–"
        if math.isinf(number):
            return "∞" if number > 0 else "-∞"
        if self.digits is None:
            return f"{number:.4g}"
        return f"{number:.{self.digits}f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of results.

    Parameters
    ----------
    name : str
        Name of its CSV file, without the ending.
    title : str
        What it shows.
    columns : sequence of Column
        From left to right.
    rows : sequence of mapping
        Value by key of the column; None where there is none.
    note : str, optional
        What the reader must know.
    shown : bool, optional
        Whether it is in the report; otherwise it is a CSV only.
    """

    name: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Mapping[str, Any]]
    note: str = ""
    shown: bool = True

    def to_csv(self) -> str:
        """Return the table with all digits; what is not a number is left empty."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow([column.key for column in self.columns])
        for row in self.rows:
            writer.writerow([_plain(row.get(column.key)) for column in self.columns])
        return buffer.getvalue()

    def to_markdown(self) -> str:
        """Return the table under its title, with the best of a column in bold."""
        cells = [
            [column.heading for column in self.columns],
            *(
                [f"**{text}**" if bold else text for text, bold in line]
                for line in self._shown()
            ),
        ]
        cells = [[cell.replace("|", "\\|") for cell in line] for line in cells]
        lines = [f"| {' | '.join(line)} |" for line in cells]
        rule = ["---" if column.text else "---:" for column in self.columns]
        lines.insert(1, f"|{'|'.join(rule)}|")
        note = ["", self.note] if self.note else []
        return "\n".join([f"### {self.title}", "", *lines, *note]) + "\n"

    def to_html(self) -> str:
        """Return the table under its title as a piece of a page."""
        head = "".join(
            f"<th{_class(column)}>{html.escape(column.heading)}</th>"
            for column in self.columns
        )
        body = "\n".join(
            "<tr>"
            + "".join(
                f"<td{_class(column)}>"
                + (f"<b>{html.escape(text)}</b>" if bold else html.escape(text))
                + "</td>"
                for column, (text, bold) in zip(self.columns, line, strict=True)
            )
            + "</tr>"
            for line in self._shown()
        )
        note = f"<p>{html.escape(self.note)}</p>" if self.note else ""
        return (
            f"<h3>{html.escape(self.title)}</h3>\n"
            f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n'
            f"<tbody>\n{body}\n</tbody></table></div>\n{note}"
        )

    def _shown(self) -> list[list[tuple[str, bool]]]:
        """Return the text of every cell, and whether it is the best of its column."""
        best = [self._best(column) for column in self.columns]
        return [
            [
                (column.show(value), target is not None and value == target)
                for column, target in zip(self.columns, best, strict=True)
                for value in (row.get(column.key),)
            ]
            for row in self.rows
        ]

    def _best(self, column: Column) -> float | None:
        if not column.best:
            return None
        numbers = [
            value
            for row in self.rows
            if isinstance(value := row.get(column.key), (int, float))
            and math.isfinite(value)
        ]
        if len(numbers) < 2:
            return None
        return max(numbers) if column.best == "most" else min(numbers)


def _class(column: Column) -> str:
    return "" if column.text else ' class="number"'


def _plain(value: Any) -> Any:
    """Return a value as the CSV has it: nothing for None and NaN."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return value
