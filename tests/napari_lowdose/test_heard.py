from __future__ import annotations

import threading
import warnings

from napari_lowdose._heard import warnings_heard


class Overlap:
    """Two threads that hear warnings, begun and ended as the test says."""

    def __init__(self):
        self.heard = {"a": [], "b": []}
        self._go = {name: threading.Semaphore(0) for name in self.heard}
        self._at = threading.Semaphore(0)
        self._threads = {
            name: threading.Thread(target=self._run, args=(name,))
            for name in self.heard
        }

    def _run(self, name):
        with warnings_heard(lambda w: self.heard[name].append(str(w[0]))):
            for text in ("first", "second"):
                warnings.warn(f"{name} {text}", UserWarning, stacklevel=1)
                self._at.release()
                assert self._go[name].acquire(timeout=30)

    def begin(self, name):
        self._threads[name].start()
        assert self._at.acquire(timeout=30)

    def again(self, name):
        self._go[name].release()
        assert self._at.acquire(timeout=30)

    def end(self, name):
        self._go[name].release()
        self._threads[name].join(30)


def test_each_thread_is_told_its_own_warnings_in_any_order_and_all_is_put_back():
    with warnings.catch_warnings(record=True) as mine:
        warnings.simplefilter("always")
        filters, show = list(warnings.filters), warnings.showwarning
        threads = Overlap()
        threads.begin("a")
        threads.begin("b")
        warnings.warn("of the main thread", UserWarning, stacklevel=1)
        threads.again("a")
        threads.end("a")  # before the one that began later
        threads.again("b")
        threads.end("b")
        assert list(warnings.filters) == filters
        assert warnings.showwarning is show
        warnings.warn("afterwards", UserWarning, stacklevel=1)
    assert threads.heard == {"a": ["a first", "a second"], "b": ["b first", "b second"]}
    assert [str(w.message) for w in mine][-1] == "afterwards"


def test_a_warning_of_another_thread_is_shown_as_before(monkeypatch):
    shown = []
    monkeypatch.setattr(warnings, "showwarning", lambda *w: shown.append(str(w[0])))
    threads = Overlap()
    threads.begin("a")
    warnings.warn("mine", UserWarning, stacklevel=1)
    threads.again("a")
    threads.end("a")
    assert shown == ["mine"]
