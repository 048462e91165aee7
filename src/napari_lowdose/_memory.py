"""What the widgets of one viewer remember while napari runs.

A closed widget is gone, and a new one should still know the parameters that were
used last; but two viewers must not know each other's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from lowdose.parameters import Value

_VALUES: WeakKeyDictionary[ViewerModel, dict[str, dict[str, Value]]] = (
    WeakKeyDictionary()
)


def unwrapped(viewer: ViewerModel) -> ViewerModel:
    """Return the viewer itself where napari handed out a proxy of it.

    A proxy lives shorter than its viewer, so it cannot be the key of anything.
    """
    return getattr(viewer, "__wrapped__", viewer)


def last_values(viewer: ViewerModel) -> dict[str, dict[str, Value]]:
    """Return the last values of every denoiser in this viewer, to read and to write."""
    return _VALUES.setdefault(unwrapped(viewer), {})
