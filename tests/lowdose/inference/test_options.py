from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from lowdose.errors import ParameterError
from lowdose.inference import DenoiseOptions


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:0", "cuda:12", "mps"])
def test_devices_that_may_exist_are_accepted(device):
    assert DenoiseOptions(device=device).device == device


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"device": "gpu"}, "'gpu' is not a device"),
        ({"device": "cuda:"}, "is not a device"),
        ({"device": None}, "is not a device"),
        ({"precision": "double"}, "'bfloat16'"),
        ({"tile": 0}, "tile=0 must be a positive"),
        ({"tile": -3}, "tile=-3"),
        ({"tile": 2.5}, "tile=2.5"),
        ({"tile": True}, "tile=True"),
        ({"batch": 0}, "batch=0"),
        ({"batch": "4"}, "batch='4'"),
        ({"keep_mean": "no"}, "keep_mean='no'"),
        ({"compile": "yes"}, "compile='yes'"),
    ],
)
def test_values_that_mean_nothing_are_refused(values, message):
    with pytest.raises(ParameterError, match=message):
        DenoiseOptions(**values)


def test_options_do_not_change_and_can_be_written_as_json():
    options = DenoiseOptions(tile=np.int64(256), batch=np.uint8(2))
    assert json.loads(json.dumps(options.to_dict())) == {
        "device": "auto",
        "precision": "auto",
        "tile": 256,
        "batch": 2,
        "keep_mean": True,
        "compile": False,
    }
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.tile = 3
