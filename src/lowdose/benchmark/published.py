"""Figures that others published, to be printed beside ours.

They are of other images, so that only their order and their distances can be compared.
"""

from __future__ import annotations

from typing import Any, Final

#: Mean PSNR [dB] and SSIM of SBD's own networks on their validation images of white
#: contrast (279), from the notebook ``denoising_in_patches`` of the repository that
#: goes with S. Mohan et al., IEEE Trans. Comput. Imaging 8, 585 (2022),
#: doi:10.1109/TCI.2022.3176536.
SBD_NETWORKS: Final[tuple[dict[str, Any], ...]] = (
    {
        "network": "UNet, 4 scales, 5.6 M parameters",
        "psnr": 38.16,
        "ssim": 0.9887,
        "psnr_tiled": 38.58,
        "ssim_tiled": 0.9892,
    },
    {
        "network": "UNet, 6 scales, 70.5 M parameters",
        "psnr": 30.46,
        "ssim": 0.9581,
        "psnr_tiled": 34.57,
        "ssim_tiled": 0.97279,
    },
)

#: Mean and standard deviation of the PSNR [dB], and mean SSIM, of networks trained on
#: one class of contrast and tested on another, computed from the logs
#: ``experiments/*/test_evaluation.csv`` of the same repository (164 black, 2286
#: intermediate, 1117 white images).
SBD_CONTRAST: Final[tuple[dict[str, Any], ...]] = (
    {
        "trained": "black",
        "black": "39.11 ± 1.05, 0.985",
        "intermediate": "29.32 ± 4.74, 0.906",
        "white": "27.93 ± 3.70, 0.903",
    },
    {
        "trained": "intermediate",
        "black": "37.18 ± 1.63, 0.978",
        "intermediate": "35.34 ± 1.33, 0.976",
        "white": "35.31 ± 1.07, 0.979",
    },
    {
        "trained": "white",
        "black": "36.95 ± 1.65, 0.979",
        "intermediate": "34.43 ± 1.76, 0.971",
        "white": "36.26 ± 0.90, 0.984",
    },
)

#: Mean PSNR [dB] of networks trained on the row and tested on the column, from the
#: same repository: particles (defects D0 and D1 only), and defects (particle PtNp1).
SBD_STRUCTURE: Final[tuple[dict[str, Any], ...]] = (
    {
        "trained": "PtNp1",
        "PtNp1": 38.33,
        "PtNp2": 37.83,
        "PtNp3": 38.40,
        "PtNp4": 37.72,
    },
    {
        "trained": "PtNp2",
        "PtNp1": 37.27,
        "PtNp2": 37.19,
        "PtNp3": 37.04,
        "PtNp4": 37.01,
    },
    {
        "trained": "PtNp3",
        "PtNp1": 34.42,
        "PtNp2": 33.95,
        "PtNp3": 37.84,
        "PtNp4": 33.30,
    },
    {
        "trained": "PtNp4",
        "PtNp1": 37.49,
        "PtNp2": 37.02,
        "PtNp3": 37.77,
        "PtNp4": 37.24,
    },
)
SBD_DEFECT: Final[tuple[dict[str, Any], ...]] = (
    {"trained": "D0", "D0": 35.59, "D1": 35.00, "D2": 34.77, "Dh": 34.68, "Ds": 35.23},
    {"trained": "D1", "D0": 34.37, "D1": 34.46, "D2": 34.50, "Dh": 34.45, "Ds": 34.48},
    {"trained": "D2", "D0": 36.80, "D1": 36.71, "D2": 36.79, "Dh": 36.40, "Ds": 36.40},
    {
        "trained": "Ds, Dh (logs identical)",
        "D0": 35.42,
        "D1": 35.28,
        "D2": 35.31,
        "Dh": 35.21,
        "Ds": 35.10,
    },
)


def _ede(
    method: str, low: tuple[float, ...], ordinary: tuple[float, ...]
) -> dict[str, Any]:
    keys = ("mse", "mse_std", "ssim", "ssim_std")
    return {
        "denoiser": method,
        **{f"low_{key}": value for key, value in zip(keys, low, strict=True)},
        **{f"ordinary_{key}": value for key, value in zip(keys, ordinary, strict=True)},
    }


#: Table 1 of J. M. Ede, R. Beanland, Ultramicroscopy 202, 18 (2019),
#: doi:10.1016/j.ultramic.2019.03.017: MSE [10^-3] and SSIM, each mean and standard
#: deviation, of 20,000 instances at either dose, as printed.
EDE_TABLE: Final[tuple[dict[str, Any], ...]] = (
    _ede("Unfiltered", (4.357, 2.558, 0.454, 0.208), (0.508, 0.682, 0.850, 0.123)),
    _ede("Gaussian", (0.816, 0.452, 0.685, 0.159), (0.344, 0.334, 0.878, 0.087)),
    _ede("Bilateral", (1.025, 1.152, 0.574, 0.261), (1.243, 1.392, 0.600, 0.271)),
    _ede("Median", (1.083, 0.618, 0.618, 0.171), (0.507, 0.512, 0.821, 0.126)),
    _ede("Wiener", (1.068, 0.546, 0.681, 0.137), (0.402, 0.389, 0.870, 0.085)),
    _ede("Wavelet", (0.832, 0.58, 0.657, 0.186), (0.357, 0.312, 0.875, 0.085)),
    _ede("Chambolle TV", (0.746, 0.725, 0.686, 0.192), (0.901, 0.909, 0.674, 0.217)),
    _ede("Bregman TV", (1.109, 1.031, 0.544, 0.268), (4.074, 3.025, 0.348, 0.312)),
    _ede("NL means", (2.924, 2.338, 0.357, 0.315), (1.403, 1.266, 0.545, 0.281)),
    _ede("Neural network", (0.562, 0.449, 0.752, 0.147), (0.201, 0.169, 0.926, 0.057)),
)
#: What is wrong in it, as far as can be told from outside.
EDE_NOTE: Final = (
    "The low-dose rows of Bregman TV and NL means are probably swapped: as printed, "
    "the SSIM of NL means falls from 0.545 at the ordinary dose to 0.357, and that of "
    "Bregman TV rises from 0.348 to 0.544; swapped, both hardly change. The list of "
    "filters in the code that goes with the paper has NL means before Bregman TV, and "
    "only its ordinary-dose columns are put back in order. The authors have not "
    "confirmed it."
)

#: The only figures of em_denoise that were found: a screenshot of its tutorial.
EM_DENOISE: Final = (
    "No results of the seven baselines have been published in the repositories of "
    "SciML-Bench. Its tutorial shows two epochs of its own small network: losses "
    "0.0798 and 0.0161, 41.4 s of training."
)
#: The defects of em_denoise's own metric.
EM_DENOISE_DEFECTS: Final = (
    "The truth is filled from the list of noisy files, so that its MSE says how "
    "little the network changes its input. Here the truth is the clean image.",
    "Its PSNR takes 255 as the peak of images of about 0 to 1, which adds 48.1 dB. "
    "Here the peak is the range of the truth.",
    "Its PSNR is that of the pooled error of each batch, averaged over batches of "
    "which the last is smaller. Here it is computed per image and averaged over "
    "images.",
)
