"""How much memory a network needs while it runs, counted without running it."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lowdose import networks

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Side of the image for which memory is counted [px], before it is rounded up to the
#: size multiple; large enough that borders count for little.
_SIDE = 512


def working_memory(architecture: str, options: Mapping[str, Any]) -> float:
    """Count the memory of all maps that are alive at once, at the worst moment.

    The network is run on tensors without storage, so that this takes milliseconds
    for any width. Scratch space inside an operator (unfolded patches, packed
    weights) is not seen.

    Parameters
    ----------
    architecture : str
        Key of :data:`lowdose.networks.ARCHITECTURES`.
    options : mapping
        Its options.

    Returns
    -------
    float
        Bytes per pixel of the image, in float32 [B/px], input and output included.
    """
    with FakeTensorMode() as fake:
        network = networks.build(architecture, **options).eval()
        multiple = int(network.multiple)  # type: ignore[arg-type]
        side = -(-_SIDE // multiple) * multiple
        channels = int(options.get("frames", 1)) + int(options.get("conditions", 0))
        image = torch.empty(1, channels, side, side)
    with fake, torch.no_grad(), _Counting() as counting:
        network(image)
    return float((counting.peak + image.nbytes) / side**2)


class _Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of the storages that operators made and that still live."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.alive = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._count(leaf)
        return result

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        # Views share the storage of what they look at.
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return
        self._known.add(key)
        self.alive += size
        self.peak = max(self.peak, self.alive)
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.alive -= size
