"""The job behind "Suggest": which denoiser is best on the frame in view."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from lowdose.errors import InvalidImageError, LowDoseError
from lowdose.micrograph import Calibration, Micrograph
from lowdose.progress import Progress, ShouldStop

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from lowdose.denoiser import Denoiser
    from lowdose.inference import DenoiseOptions
    from lowdose.parameters import Value
    from lowdose.trust.ranking import Ranking

#: Longest side of what is ranked on [px]: enough to be sure, and soon done.
LONGEST: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A denoiser that may be suggested.

    Parameters
    ----------
    name, title : str
        In the catalogue, and for people; no two candidates have the same title.
    values : mapping
        Its parameters.
    """

    name: str
    title: str
    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SuggestRequest:
    """A frame, and what might denoise it.

    Parameters
    ----------
    image : Micrograph
        The noisy layer.
    frame : int
        Number of the frame in view.
    candidates : sequence of Candidate
        At least two.
    options : DenoiseOptions
        Where and in what pieces to compute.
    """

    image: Micrograph
    frame: int
    candidates: Sequence[Candidate]
    options: DenoiseOptions

    def run(self, should_stop: ShouldStop) -> Generator[Progress, None, Suggestion]:
        """Rank the candidates by their error on this frame, without the truth.

        Raises
        ------
        LowDoseError
            If fewer than two candidates can be loaded, or the frame cannot be used.
        """
        from lowdose.trust.ranking import iter_ranking

        yield Progress(stage="load", done=0, total=0)
        loaded, left_out = self._load()
        frame, caveat = middle_of(self.image, self.frame)
        ranking: Ranking = yield from iter_ranking(
            frame, loaded, options=self.options, should_stop=should_stop
        )
        return Suggestion(
            ranking=ranking,
            candidates={one.title: one for one in self.candidates},
            notes=(*caveat, *ranking.caveats, *left_out),
        )

    def _load(self) -> tuple[dict[str, Denoiser], list[str]]:
        from lowdose import catalogue
        from lowdose.inference.fitting import fitted

        loaded, left_out = {}, []
        for one in self.candidates:
            values: dict[str, Any] = dict(one.values)
            try:
                denoiser = catalogue.load(one.name, **values)
                loaded[one.title] = fitted(denoiser, self.image)
            except LowDoseError as error:
                left_out.append(f"{one.title} was left out. {error}")
        if len(loaded) < 2:
            msg = f"There are no two denoisers to compare. {' '.join(left_out)}"
            raise InvalidImageError(msg)
        return loaded, left_out


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Suggestion:
    """Denoisers in the order of their errors.

    Parameters
    ----------
    ranking : Ranking
        The order, and how sure it is; denoisers go by their titles.
    candidates : mapping of str to Candidate
        By title.
    notes : tuple of str
        What to know before believing it.
    """

    ranking: Ranking
    candidates: Mapping[str, Candidate] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def middle_of(image: Micrograph, number: int) -> tuple[Micrograph, tuple[str, ...]]:
    """Return the middle of a frame, and a remark where that is not all of it."""
    height, width = image.frame_shape
    rows, columns = _middle(height), _middle(width)
    data = image.frame(number)[rows, columns]
    calibration: Calibration = image.calibration.last(2)
    frame = Micrograph(data, calibration, image.name)
    if frame.frame_shape == (height, width):
        return frame, ()
    side = " × ".join(str(n) for n in reversed(frame.frame_shape))
    return frame, (f"Judged by the middle {side} px of the frame.",)


def _middle(size: int) -> slice:
    start = max(0, (size - LONGEST) // 2)
    return slice(start, start + LONGEST)
