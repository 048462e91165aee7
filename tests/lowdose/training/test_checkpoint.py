import errno
import os

import pytest
import torch

from lowdose.errors import OutputError, TrainingError
from lowdose.training import checkpoint


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / checkpoint.LAST
    checkpoint.save(path, {"step": 1, "weights": torch.arange(5.0)})
    return path


def test_a_checkpoint_comes_back_as_it_was(saved):
    content = checkpoint.load(saved)
    assert content["step"] == 1
    assert torch.equal(content["weights"], torch.arange(5.0))
    assert checkpoint.find(saved.parent) == saved


def test_a_full_disk_keeps_the_checkpoint_of_before(saved, monkeypatch):
    def full(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"No space left.*is kept. Free some space"):
        checkpoint.save(saved, {"step": 2})
    assert checkpoint.load(saved)["step"] == 1
    assert os.listdir(saved.parent) == [saved.name]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has /dev/full")
def test_a_disk_that_is_full_while_torch_writes_keeps_it_too(saved, monkeypatch):
    real_open = type(saved).open
    monkeypatch.setattr(
        type(saved),
        "open",
        lambda self, mode="r", *a, **k: real_open(
            type(self)("/dev/full") if mode == "wb" else self, mode, *a, **k
        ),
    )
    with pytest.raises(OutputError, match=r"cannot be written.*is kept"):
        checkpoint.save(saved, {"weights": torch.zeros(1_000_000)})
    assert checkpoint.load(saved)["step"] == 1


def test_a_device_that_is_gone_is_no_full_disk(saved):
    class Gone(torch.Tensor):
        def cpu(self):
            raise RuntimeError("CUDA error: device lost")

    lost = torch.zeros(3).as_subclass(Gone)
    with pytest.raises(RuntimeError, match="device lost"):
        checkpoint.save(saved, {"optimiser": {"state": [lost]}})
    assert checkpoint.load(saved)["step"] == 1
    assert os.listdir(saved.parent) == [saved.name]


@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
def test_a_checkpoint_that_was_cut_short_is_refused(saved, share):
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(TrainingError, match=r"damaged or cut short.*best\.pt"):
        checkpoint.load(saved)


def test_a_file_that_is_no_checkpoint_is_refused(saved):
    saved.write_bytes(b"not a checkpoint")
    with pytest.raises(TrainingError, match="is no checkpoint"):
        checkpoint.load(saved)


def test_a_pickle_that_would_run_a_program_is_refused(saved):
    class Program:
        def __reduce__(self):
            return os.system, ("true",)

    torch.save(Program(), saved)
    with pytest.raises(TrainingError, match="is no checkpoint"):
        checkpoint.load(saved)


def test_a_checkpoint_of_another_version_is_refused(saved):
    torch.save({"format": 99, "step": 1}, saved)
    with pytest.raises(
        TrainingError, match=r"format 99; this version .* reads format 2"
    ):
        checkpoint.load(saved)


def test_a_checkpoint_of_the_first_version_is_recognised(tmp_path):
    (tmp_path / "checkpoint.pt").write_bytes(b"")
    with pytest.raises(TrainingError, match="older version of lowdose"):
        checkpoint.find(tmp_path)


def test_the_key_in_which_two_recipes_differ_is_named(saved):
    before = {"title": "A", "training": {"steps": 3, "minutes": 1.0}}
    after = {"title": "B", "training": {"steps": 3, "minutes": 2.0}}
    checkpoint.check_same(saved, before, after)
    after["training"]["steps"] = 4
    with pytest.raises(TrainingError, match=r"training.steps was 3 and is 4"):
        checkpoint.check_same(saved, before, after)
