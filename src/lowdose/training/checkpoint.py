"""Checkpoints: never half of one under its name, and never a silent mismatch."""

from __future__ import annotations

import os
import pickle
from typing import TYPE_CHECKING, Any, Final

import torch

from lowdose.errors import OutputError, TrainingError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: Version of the layout of a checkpoint.
FORMAT: Final = 2
LAST: Final = "last.pt"
BEST: Final = "best.pt"
#: What earlier versions wrote.
_OLD: Final = "checkpoint.pt"

#: Keys of a recipe that may be changed between two runs: texts, and how long to go on.
_TEXTS = ("name", "title", "summary", "licence", "reference", "card")
_HABITS = ("minutes", "checkpoint_every", "keep")


def find(folder: Path) -> Path | None:
    """Return the last checkpoint of a training; None where there is none.

    Raises
    ------
    TrainingError
        If there is one of an older version alone.
    """
    if (folder / LAST).exists():
        return folder / LAST
    if (folder / _OLD).exists():
        msg = (
            f"{folder / _OLD} was written by an older version of lowdose. Resume it "
            "with that version, or begin afresh in another folder; a finished model "
            "can be taken up with `start` in the recipe."
        )
        raise TrainingError(msg)
    return None


def save(path: Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint.

    Parameters
    ----------
    path : Path
        Replaced at once where it exists.
    content : mapping
        Tensors, numbers, text, and containers of these.

    Raises
    ------
    OutputError
        If it cannot be written, as on a full disk. What was at `path` is still there.
    """
    # Here a device that is gone fails, and below a disk that is full.
    content = _on_cpu(content)
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            torch.save({"format": FORMAT, **content}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except (OSError, RuntimeError) as error:
        # torch's writer of archives turns the OSError of a full disk into a
        # RuntimeError of its own.
        part.unlink(missing_ok=True)
        before = f" The one of before, {path}, is kept." if path.exists() else ""
        reason = error.strerror if isinstance(error, OSError) else str(error)
        msg = (
            f"The checkpoint {path} cannot be written ({reason}).{before} Free some "
            "space and resume."
        )
        raise OutputError(msg) from error


def _on_cpu(content: Any) -> Any:
    if isinstance(content, torch.Tensor):
        return content.cpu()
    if isinstance(content, dict):
        return {key: _on_cpu(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return type(content)(_on_cpu(value) for value in content)
    return content


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint; nothing in it is executed.

    Raises
    ------
    TrainingError
        If it is damaged, cut short, or of another version.
    """
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
    except (
        OSError,
        EOFError,
        RuntimeError,
        ValueError,
        KeyError,
        pickle.UnpicklingError,
    ) as error:
        other = BEST if path.name == LAST else LAST
        msg = (
            f"{path} is no checkpoint, or it is damaged or cut short: "
            f"{str(error).splitlines()[0] if str(error) else type(error).__name__}. "
            f"Put {other} in its place if there is one, or start afresh."
        )
        raise TrainingError(msg) from error
    version = content.get("format") if isinstance(content, dict) else None
    if version != FORMAT:
        msg = (
            f"{path} is a checkpoint of format {version}; this version of lowdose "
            f"reads format {FORMAT}. Resume it with the version that wrote it, or "
            "start afresh."
        )
        raise TrainingError(msg)
    result: dict[str, Any] = content
    return result


def check_same(path: Path, saved: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to go on with another recipe than the one begun with.

    Raises
    ------
    TrainingError
        If they differ in what determines the weights; the key is named.
    """
    before, after = _what_matters(saved), _what_matters(now)
    differ = sorted(
        key for key in before.keys() | after.keys() if before.get(key) != after.get(key)
    )
    if differ:
        key = differ[0]
        msg = (
            f"{path} was written by another recipe: {key} was {before.get(key)!r} and "
            f"is {after.get(key)!r}. Use the recipe it was begun with, or another "
            "folder."
        )
        raise TrainingError(msg)


def _what_matters(recipe: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in recipe.items():
        if (not prefix and key in _TEXTS) or (prefix == "training." and key in _HABITS):
            continue
        if isinstance(value, dict):
            flat |= _what_matters(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
