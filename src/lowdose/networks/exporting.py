"""Networks for other programs: as a ``torch.export`` program or as ONNX.

Both hold the network for images of one size. The sizes are not left open, because what
lies at the border of an image whose size is no multiple of the poolings would have to
be decided while the program runs. Cut an image into tiles of that size, with the halo
that the network declares.
"""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import torch

from lowdose.errors import MissingExtraError
from lowdose.networks.declared import build_twin, inputs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from torch import nn
    from torch.export import ExportedProgram

    from lowdose.networks.variants import Variant

#: Options that make an architecture shallow, with every kind of layer still in it.
SHALLOW: Final[Mapping[str, Mapping[str, Any]]] = {
    "denoisenet": {"depth": 4},
    "dncnn": {"depth": 4},
    "ede": {"blocks": 1},
    "ffdnet": {"depth": 3},
    "lowdose": {"blocks": (1, 1)},
    "mcnn": {"levels": 3},
    "mixed_scale": {"depth": 4},
    "red": {"depth": 8, "step": 2},
    "unet": {"levels": 2},
}

#: Side of the image that exports are tried with [px].
_TRIED = 32


def to_program(network: nn.Module, example: torch.Tensor) -> ExportedProgram:
    """Export a network with ``torch.export``.

    Parameters
    ----------
    network : torch.nn.Module
        In evaluation mode.
    example : Tensor, shape (N, frames + conditions, H, W)
        Of the size that the program is for.

    Returns
    -------
    torch.export.ExportedProgram
    """
    return torch.export.export(network, (example,))


def to_onnx(network: nn.Module, example: torch.Tensor, path: Path) -> Path:
    """Export a network as an ONNX file.

    Parameters
    ----------
    network : torch.nn.Module
        In evaluation mode.
    example : Tensor, shape (N, frames + conditions, H, W)
        Of the size that the file is for.
    path : Path
        The file to write. Its one input is called ``noisy``, its output ``denoised``.

    Returns
    -------
    Path
        The same path.

    Raises
    ------
    MissingExtraError
        If the packages for it are not installed.
    """
    return save_onnx(
        network, path, inputs=["noisy"], outputs=["denoised"], given=(example,)
    )


def check_onnx() -> None:
    """Raise unless ONNX files can be written.

    Raises
    ------
    MissingExtraError
        If the packages for it are not installed.
    """
    try:
        import onnxscript  # noqa: F401
    except ImportError as error:
        msg = "ONNX files need onnxscript: pip install 'napari-lowdose[onnx]'."
        raise MissingExtraError(msg) from error


def save_onnx(
    network: nn.Module | ExportedProgram,
    path: Path,
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
    given: tuple[torch.Tensor, ...] = (),
) -> Path:
    """Write a network, or a program of one, as an ONNX file with its weights in it.

    Parameters
    ----------
    network : torch.nn.Module or torch.export.ExportedProgram
        A module needs inputs to be followed with; a program has been followed.
    path : Path
        The file to write.
    inputs, outputs : sequence of str
        Names of all of them, in order.
    given : tuple of Tensor, optional
        The inputs of a module.

    Returns
    -------
    Path
        The same path.

    Raises
    ------
    MissingExtraError
        If the packages for it are not installed.
    """
    check_onnx()
    with quiet():
        program = torch.onnx.export(
            network,
            given,
            dynamo=True,
            verbose=False,
            input_names=list(inputs),
            output_names=list(outputs),
        )
    assert program is not None
    # The weights too: one file that can be moved.
    program.save(str(path), external_data=False)
    return path


def try_exports(variant: Variant) -> dict[str, str]:
    """Try both exports on a small network of a variant.

    Parameters
    ----------
    variant : Variant
        Whose layers are tried, with few feature maps and few layers of each kind.

    Returns
    -------
    dict
        For ``torch.export`` and ``ONNX``, "yes" or what failed.

    Raises
    ------
    MissingExtraError
        If the packages for ONNX are not installed.
    """
    import tempfile
    from pathlib import Path

    network, example = small(variant)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        return {
            "torch.export": _outcome(lambda: to_program(network, example)),
            "ONNX": _outcome(lambda: to_onnx(network, example, path)),
        }


def small(variant: Variant) -> tuple[nn.Module, torch.Tensor]:
    """Return a shallow and narrow network of a variant, and an input for it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        shallow = SHALLOW.get(variant.architecture, {})
        network = build_twin(variant, **shallow).eval()
        example = torch.rand(1, sum(inputs(variant)), _TRIED, _TRIED)
    return network, example


def _outcome(export: Any) -> str:
    try:
        export()
    except MissingExtraError:
        raise
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:
        return f"no: {str(error).strip().splitlines()[0][:120]}"
    return "yes"


@contextmanager
def quiet() -> Iterator[None]:
    """Silence what exporters say of themselves and of packages they could also use."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
