"""The call that a denoiser comes down to, without anything of ours round it.

For a network its forward pass in torch, on a tensor that is on the device already, as
it comes out of its weight file. For a filter the function of scipy or scikit-image that
does the same in kind, in double precision, with the values that ours has by default;
some of ours do more (they shift, stabilise or tile), so that it is a yardstick and not
always the same result.
"""

from __future__ import annotations

from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from lowdose.denoiser import Denoiser
    from lowdose.inference.device import Place
    from lowdose.zoo.network_denoiser import NetworkDenoiser

    Call = Callable[[], NDArray[np.float32]]


def bare_calls(
    denoiser: Denoiser, frame: NDArray[np.float32], place: Place, *, compiled: bool
) -> Iterator[tuple[str, Call]]:
    """Yield the bare calls of a denoiser.

    Parameters
    ----------
    denoiser : Denoiser
        As :func:`lowdose.catalogue.load` makes it.
    frame : ndarray, shape (H, W), float32
        Counts.
    place : Place
        Where networks compute.
    compiled : bool
        Also yield networks through ``torch.compile``.

    Yields
    ------
    tuple of str and callable
        What it is, and the call, which returns an array of the shape of the frame or,
        of a network, of what it was given. Nothing for filters that no library has.
    """
    if denoiser.needs.device:
        yield from _networks(denoiser, frame, place, compiled=compiled)
        return
    library = _LIBRARY.get(denoiser.name)
    if library is not None:
        name, function = library
        values = dict(denoiser.values)
        sigma = float(np.sqrt(max(frame.mean(), 1e-6)))
        work = frame.astype(np.float64)
        yield name, lambda: np.asarray(function(work, values, sigma), np.float32)


def _networks(
    denoiser: Denoiser, frame: NDArray[np.float32], place: Place, *, compiled: bool
) -> Iterator[tuple[str, Call]]:
    import torch

    from lowdose.zoo.network_denoiser import NetworkDenoiser
    from lowdose.zoo.weights import load_network

    assert isinstance(denoiser, NetworkDenoiser)
    network = load_network(denoiser.card)
    given = _input_of(denoiser, frame)
    device = torch.device(place.device)
    network.to(device)
    given = [x.to(device).contiguous() for x in given]
    dtype = getattr(torch, place.precision)
    autocast = (
        nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)
    )

    def forward(module: Any) -> Call:
        def call() -> NDArray[np.float32]:
            with torch.inference_mode(), autocast:
                result = module(*given)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            pixels: NDArray[np.float32] = result[0, 0].float().cpu().numpy()
            # Of the normalised frame: not to be compared with counts.
            return pixels[np.newaxis]

        return call

    yield "torch", forward(network)
    if compiled:
        yield "torch.compile", forward(torch.compile(network))


def _input_of(denoiser: NetworkDenoiser, frame: NDArray[np.float32]) -> list[Any]:
    """Return what the denoiser gives to a network of its kind for a frame."""
    import torch

    from lowdose.zoo.network_denoiser import NetworkDenoiser

    class Seen(Exception):  # noqa: N818  (no error: it ends the pass)
        pass

    seen: list[Any] = []

    class Noting(torch.nn.Module):
        def forward(self, *arguments: Any) -> Any:
            seen.extend(arguments)
            raise Seen

    probe = NetworkDenoiser(denoiser.card, Noting(), denoiser.values)
    needs = probe.needs
    # Without a border, and as much of the frame as the network can take.
    height, width = (n // needs.multiple * needs.multiple for n in frame.shape)
    patch = np.ascontiguousarray(frame[:height, :width])[np.newaxis, np.newaxis]
    with suppress(Seen):
        probe.denoise_patches(np.repeat(patch, needs.frames, 1), [probe.measure(frame)])
    return [x.detach().clone() for x in seen]


def _gaussian(work: Any, values: Mapping[str, Any], _sigma: float) -> Any:
    from scipy import ndimage

    return ndimage.gaussian_filter(work, values["sigma"])


def _median(work: Any, values: Mapping[str, Any], _sigma: float) -> Any:
    from scipy import ndimage

    return ndimage.median_filter(work, 2 * values["radius"] + 1)


def _butterworth(work: Any, values: Mapping[str, Any], _sigma: float) -> Any:
    from skimage.filters import butterworth

    return butterworth(  # type: ignore[no-untyped-call]
        work, values["cutoff"], high_pass=False, order=values["order"], npad=0
    )


def _bilateral(work: Any, values: Mapping[str, Any], sigma: float) -> Any:
    from skimage.restoration import denoise_bilateral

    return denoise_bilateral(
        work,
        sigma_color=values["sigma_color"] * sigma,
        sigma_spatial=values["sigma_space"],
    )


def _wiener(work: Any, values: Mapping[str, Any], sigma: float) -> Any:
    from scipy.signal import wiener

    return wiener(work, 2 * values["radius"] + 1, noise=sigma**2)


def _wavelet(work: Any, values: Mapping[str, Any], sigma: float) -> Any:
    from skimage.restoration import denoise_wavelet

    # Without the shifts that ours averages over.
    return denoise_wavelet(
        work,
        sigma=sigma,
        wavelet=values["wavelet"],
        mode=values["mode"],
        rescale_sigma=True,
    )


def _tv_chambolle(work: Any, values: Mapping[str, Any], sigma: float) -> Any:
    from skimage.restoration import denoise_tv_chambolle

    return sigma * denoise_tv_chambolle(  # type: ignore[no-untyped-call]
        work / sigma,
        weight=values["weight"],
        eps=values["eps"],
        max_num_iter=values["iterations"],
    )


def _tv_bregman(work: Any, values: Mapping[str, Any], sigma: float) -> Any:
    from skimage.restoration import denoise_tv_bregman

    return sigma * denoise_tv_bregman(
        work / sigma,
        weight=values["weight"],
        eps=values["eps"],
        max_num_iter=values["iterations"],
        isotropic=values["isotropic"],
    )


def _nl_means(work: Any, values: Mapping[str, Any], sigma: float) -> Any:
    from skimage.restoration import denoise_nl_means

    return denoise_nl_means(
        work,
        patch_size=2 * values["patch_radius"] + 1,
        patch_distance=values["distance"],
        h=values["h"] * sigma,
        sigma=values["expected"] * sigma,
        fast_mode=True,
    )


_LIBRARY: dict[str, tuple[str, Callable[[Any, Mapping[str, Any], float], Any]]] = {
    "gaussian": ("scipy gaussian_filter", _gaussian),
    "median": ("scipy median_filter", _median),
    "butterworth": ("skimage butterworth", _butterworth),
    "bilateral": ("skimage denoise_bilateral", _bilateral),
    "wiener": ("scipy wiener", _wiener),
    "wavelet": ("skimage denoise_wavelet", _wavelet),
    "tv-chambolle": ("skimage denoise_tv_chambolle", _tv_chambolle),
    "tv-bregman": ("skimage denoise_tv_bregman", _tv_bregman),
    "nl-means": ("skimage denoise_nl_means", _nl_means),
}
