import pytest
import torch

from lowdose import networks
from lowdose.zoo.package import save_model

OPTIONS = {"scales": 2, "base": 4, "residual": True, "conditions": 2}


@pytest.fixture
def make_model():
    """Return a function that writes a model folder with a small random network."""

    def make(
        folder, *, name="tiny", sampling=None, inputs=None, halved=False, **options
    ):
        torch.manual_seed(0)
        options = {**OPTIONS, **options}
        return save_model(
            folder,
            networks.build("unet2", **options),
            name=name,
            title="Tiny",
            summary="A random network for tests.",
            licence="CC0-1.0",
            architecture="unet2",
            options=options,
            training={"steps": 0},
            extra={
                **({} if sampling is None else {"sampling": sampling}),
                **({} if inputs is None else {"input": inputs}),
            },
            halved=halved,
        )

    return make
