import numpy as np
import pytest
import torch

from lowdose.errors import DeviceError, OutOfMemoryError
from lowdose.training.hardware import Hardware, is_leader, make_fabric, translated


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(DeviceError, match=r"1 x 'cuda'.*device='auto', or 'cpu'"):
        make_fabric(Hardware(device="cuda"), "float32")


def test_a_strategy_that_is_not_known_is_refused():
    with pytest.raises(DeviceError, match="strategy 'dpp'"):
        make_fabric(Hardware(device="cpu", strategy="dpp"), "float32")


@pytest.mark.parametrize(
    ("amx", "expected"), [(True, "bf16-mixed"), (False, "32-true")]
)
def test_bfloat16_is_taken_where_the_processor_has_units_for_it(
    monkeypatch, amx, expected
):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    fabric = make_fabric(Hardware(device="cpu"), "auto")
    assert fabric._precision.precision == expected
    asked = make_fabric(Hardware(device="cpu"), "bfloat16")
    assert asked._precision.precision == "bf16-mixed"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("CUDA error: unknown"), DeviceError),
        (RuntimeError("CUDA out of memory."), OutOfMemoryError),
        (MemoryError(), OutOfMemoryError),
    ],
)
def test_errors_of_a_device_say_what_is_kept(error, expected):
    with (
        pytest.raises(expected, match="All is kept"),
        translated(torch.device("cpu"), "All is kept."),
    ):
        raise error


def test_only_one_process_reports(monkeypatch):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert is_leader()
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert not is_leader()


@pytest.mark.gpu
def test_a_training_on_a_gpu_lowers_the_error(make_recipe, train, tmp_path):
    if not torch.cuda.is_available():
        pytest.skip("There is no CUDA device.")
    recipe = make_recipe(steps=200, validate_every=100, batch=4, precision="bfloat16")
    _, reports = train(recipe, tmp_path, hardware=Hardware(device="cuda"))
    losses = [r.loss for r in reports if hasattr(r, "loss")]
    assert np.mean(losses[-3:]) < 0.98 * np.mean(losses[:3])
