"""The check before a training: what a way assumes, and whether the data agree."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lowdose.errors import Cancelled
from napari_lowdose.training.recipes import make_recipe
from napari_lowdose.training.sources import glance

if TYPE_CHECKING:
    from collections.abc import Generator

    from lowdose.micrograph import Micrograph
    from lowdose.progress import Progress, ShouldStop
    from napari_lowdose.training.recipes import Plan
    from napari_lowdose.training.sources import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a look at the data tells.

    Parameters
    ----------
    reason : str
        What would be chosen, and why.
    assumes : str
        What the way assumes of the noise.
    doubts : tuple of str
        Where that fails, as far as a few frames tell.
    """

    reason: str
    assumes: str
    doubts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CheckRequest:
    """Data to look at, and how they are to be learnt from.

    Parameters
    ----------
    plan : Plan
        What was chosen.
    sources : tuple of Source
        Micrographs; of each the first is looked at.
    """

    plan: Plan
    sources: tuple[Source, ...]

    def run(self, should_stop: ShouldStop) -> Generator[Progress, None, Checked]:
        """Open a part of the data in the way that the training would.

        Raises
        ------
        LowDoseError
            If nothing can be learnt from it.
        """
        from lowdose.training import ways
        from lowdose.training.settings import setting_of

        given: dict[str, Micrograph] = {}
        for source in self.sources:
            if should_stop():
                msg = "The check was stopped."
                raise Cancelled(msg)
            given[source.key] = glance(source.open()[0])
        words = {source.key: [source.words] for source in self.sources}
        recipe, reason = make_recipe(self.plan, words, list(given.values())[:1])
        # Without torch, which would take longer than the check: a widget is opening.
        setting = setting_of(recipe, Path(), given)
        way = yield from ways.iter_open(recipe.data, setting)
        return Checked(reason=reason, assumes=way.assumes, doubts=way.warnings)
