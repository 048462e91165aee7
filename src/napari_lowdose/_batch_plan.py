"""What a batch does, kept in the folder of its results for as long as it is not done.

A batch that was cancelled, or napari that was closed or killed over it, leaves the file
``.lowdose-batch.json`` there. The widget finds it when that folder is chosen again, and
offers to go on. What is in it is data of anyone's: it is checked, and decides nothing
but what the form shows.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lowdose.io import paths

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowdose.parameters import Value

#: Name of the file.
PLAN_NAME: Final = ".lowdose-batch.json"

_VERSION: Final = 1
#: A larger file is none of ours [B].
_LARGEST: Final = 2**25


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPlan:
    """Which files are denoised into which folder, and how.

    Parameters
    ----------
    sources : tuple of Path
        The noisy files.
    folder : Path
        Where the results go.
    suffix : str
        Their format.
    denoiser : str
        Name in the catalogue.
    values : mapping
        Its parameters.
    """

    sources: tuple[Path, ...]
    folder: Path
    suffix: str
    denoiser: str
    values: Mapping[str, Value]


def write_plan(plan: BatchPlan) -> None:
    """Write a plan into the folder of its results.

    Raises
    ------
    OutputError
        If the folder refuses.
    """
    record = {
        "version": _VERSION,
        "sources": [str(path.resolve()) for path in plan.sources],
        "suffix": plan.suffix,
        "denoiser": plan.denoiser,
        "values": dict(plan.values),
    }
    path = plan.folder / PLAN_NAME
    part = path.with_name(f"{PLAN_NAME}.part")
    with paths.in_words(path):
        part.write_text(json.dumps(record, indent=1), encoding="utf-8")
        part.replace(path)


def read_plan(folder: Path) -> BatchPlan | None:
    """Return the plan that a batch left in a folder; None where there is none."""
    path = folder / PLAN_NAME
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST:
            return None
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):  # another's, or cut short
        return None
    return _checked(record, folder)


def forget_plan(folder: Path) -> None:
    """Remove the plan in a folder, where there is one."""
    with contextlib.suppress(OSError):
        (folder / PLAN_NAME).unlink()


def _checked(record: Any, folder: Path) -> BatchPlan | None:
    """Return the plan that a record describes, or None where it describes none."""
    match record:
        case {
            "version": int(version),
            "sources": [*sources],
            "suffix": str(suffix),
            "denoiser": str(denoiser),
            "values": {**values},
        } if version == _VERSION and sources:
            plain = {
                name: value
                for name, value in values.items()
                if isinstance(name, str) and isinstance(value, float | int | bool | str)
            }
            texts = [x for x in sources if isinstance(x, str) and "\0" not in x]
            if len(texts) == len(sources) and len(plain) == len(values):
                return BatchPlan(
                    sources=tuple(map(Path, texts)),
                    folder=folder,
                    suffix=suffix,
                    denoiser=denoiser,
                    values=plain,
                )
    return None
