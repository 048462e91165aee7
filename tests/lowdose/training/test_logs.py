import sys
import types

import pytest

from lowdose.errors import OutputError
from lowdose.training import logs
from lowdose.training.logs import Curve, read_curve


@pytest.fixture
def no_board(monkeypatch):
    monkeypatch.setattr(logs.importlib.util, "find_spec", lambda _name: None)


def test_a_row_is_written_per_validation(tmp_path, no_board):
    curve = Curve(tmp_path, 0)
    curve.add(10, {"loss": 0.5, "gain_dB": 12.25})
    curve.add(20, {"loss": 0.25, "gain_dB": 13.0})
    assert read_curve(curve.path) == [
        {"step": "10", "loss": "0.5", "gain_dB": "12.25"},
        {"step": "20", "loss": "0.25", "gain_dB": "13"},
    ]


def test_rows_after_the_checkpoint_are_dropped_and_those_before_kept(
    tmp_path, no_board
):
    first = Curve(tmp_path, 0)
    for step in (10, 20, 30):
        first.add(step, {"loss": step})
    again = Curve(tmp_path, 20)
    again.add(25, {"loss": 1})
    assert [row["step"] for row in read_curve(again.path)] == ["10", "20", "25"]


def test_a_row_cut_short_by_a_power_cut_is_left_out(tmp_path, no_board):
    curve = Curve(tmp_path, 0)
    curve.add(10, {"loss": 0.5, "gain_dB": 1.0})
    with curve.path.open("a") as file:
        file.write("2")
    again = Curve(tmp_path, 10)
    assert [row["step"] for row in read_curve(again.path)] == ["10"]


def test_only_one_process_writes(tmp_path, no_board):
    curve = Curve(tmp_path, 0, writes=False)
    curve.add(10, {"loss": 0.5})
    curve.close()
    assert not curve.path.exists()


def test_a_curve_that_cannot_be_written_is_said(tmp_path, no_board):
    curve = Curve(tmp_path, 0)
    curve.path.mkdir()
    with pytest.raises(OutputError, match=r"curve\.csv cannot be written"):
        curve.add(10, {"loss": 0.5})


def test_tensorboard_gets_the_same_where_it_is_installed(tmp_path, monkeypatch):
    """With a stand-in: TensorBoard itself is no dependency, not even of the tests."""
    seen = []

    class Writer:
        def __init__(self, folder, purge_step):
            seen.append((folder.name, purge_step))

        def add_scalar(self, key, value, step):
            seen.append((key, value, step))

        def close(self):
            seen.append("closed")

    board = types.ModuleType("torch.utils.tensorboard")
    board.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", board)
    monkeypatch.setattr(logs.importlib.util, "find_spec", lambda _name: object())
    curve = Curve(tmp_path, 5)
    curve.add(10, {"loss": 0.5})
    curve.close()
    assert seen == [("tensorboard", 5), ("loss", 0.5, 10), "closed"]
