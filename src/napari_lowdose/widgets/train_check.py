"""Looks at the data whenever something was chosen, and says what speaks against it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from napari.utils.notifications import notification_manager
from qtpy.QtCore import QObject, QTimer, Signal

from lowdose.errors import LowDoseError
from napari_lowdose._jobs import JobController
from napari_lowdose._messages import is_expected
from napari_lowdose.training.words import explain_training

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_lowdose.training.checking import CheckRequest

#: Time without a change after which the data is looked at [ms].
_QUIET: Final = 400


class DataCheck(QObject):
    """Runs a check of the data in a worker; the latest wins.

    Signals: ``found(Checked)``, and ``failed(str)`` with why nothing can be learnt.

    Parameters
    ----------
    make_request : callable
        Returns what to look at, or None where there is nothing.
    parent : QObject
        The Qt parent.
    """

    found = Signal(object)
    failed = Signal(str)

    def __init__(
        self, make_request: Callable[[], CheckRequest | None], parent: QObject
    ) -> None:
        super().__init__(parent)
        self._make_request = make_request
        self._then: Callable[[], None] | None = None
        self._again = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_QUIET)
        self._timer.timeout.connect(self._check)
        self._jobs = JobController(self)
        self._jobs.succeeded.connect(self._on_found)
        self._jobs.failed.connect(self._on_failed)
        self._jobs.cancelled.connect(self._go_on)

    @property
    def pending(self) -> bool:
        """Whether a check is under way or about to begin."""
        return self._jobs.busy or bool(self._timer.isActive())

    @property
    def waiting(self) -> bool:
        """Whether something else waits for a check to end."""
        return self._then is not None

    def soon(self) -> None:
        """Check anew, as soon as nothing has changed for a moment."""
        self._timer.start()
        self._jobs.cancel()

    def stop(self, then: Callable[[], None]) -> None:
        """Check no more, and call something when no check is under way.

        Two workers at a time would leave Python's warning filters in disorder: each
        puts back, when it ends, those that it found when it began.
        """
        self._timer.stop()
        if self._jobs.busy:
            self._then = then
            self._jobs.cancel()
        else:
            then()

    def forget(self) -> bool:
        """Call nothing when the check ends; return whether something had waited."""
        waited, self._then = self._then is not None, None
        return waited

    def close(self) -> None:
        """Check no more, and say nothing more."""
        self._timer.stop()
        self._then = None
        self._jobs.abandon()

    def _check(self) -> None:
        if self._jobs.busy:
            self._again = True  # it is being stopped
            return
        self._again = False
        try:
            request = self._make_request()
        except LowDoseError as error:
            self.failed.emit(explain_training(error))
            return
        if request is not None:
            self._jobs.start(request.run)

    def _on_found(self, checked: object) -> None:
        if not self._timer.isActive() and self._then is None:
            self.found.emit(checked)
        self._go_on()

    def _on_failed(self, error: Exception) -> None:
        if not self._timer.isActive() and self._then is None:
            self.failed.emit(explain_training(error))
        if not is_expected(error):
            notification_manager.receive_error(type(error), error, error.__traceback__)
        self._go_on()

    def _go_on(self) -> None:
        then, self._then = self._then, None
        if then is not None:
            then()
        elif self._again:
            self._timer.start()
