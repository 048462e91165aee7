"""The job that writes an inspection as one page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowdose.progress import Progress, ShouldStop

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from lowdose.trust.inspection import Inspection


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ExportRequest:
    """An inspection to write.

    Parameters
    ----------
    inspection : Inspection
        What was found.
    path : Path
        The page, replaced where it is there: the dialogue that chose it has asked.
    """

    inspection: Inspection
    path: Path

    def run(self, should_stop: ShouldStop) -> Generator[Progress, None, Path]:
        """Draw the pictures and write the page; it needs no other file.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        from lowdose.trust.page import to_html
        from lowdose.trust.panels import write_picture
        from lowdose.trust.repeats import check_stop

        yield Progress(stage="export", done=0, total=0)
        page = to_html(self.inspection).encode()
        check_stop(should_stop)
        write_picture(self.path, page)
        return self.path
