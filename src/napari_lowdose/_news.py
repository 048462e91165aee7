"""What one widget tells all others of the plugin: that there is a new model."""

from __future__ import annotations

from functools import cache

from qtpy.QtCore import QObject, Signal


class CatalogueNews(QObject):
    """Signal ``changed()``: the catalogue of denoisers has to be read anew."""

    changed = Signal()


@cache
def catalogue_news() -> CatalogueNews:
    """Return the one object that tells of new models, in all viewers."""
    return CatalogueNews()
