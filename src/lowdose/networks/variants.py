"""The networks by the names they are known by: which options make a published one.

An architecture (:data:`lowdose.networks.ARCHITECTURES`) is a family; a variant is one
member of it, with the options of its publication and with what the publication says
of it. What a variant really is, is measured: see :mod:`lowdose.networks.declared`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from lowdose.errors import ParameterError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

_EDE = "doi:10.1016/j.ultramic.2019.03.017"
_EM_DENOISE = "doi:10.1038/s42254-022-00441-7"
_SBD = "doi:10.1109/TCI.2022.3176536"
_DNCNN = "doi:10.1109/TIP.2017.2662206"
_FFDNET = "doi:10.1109/TIP.2018.2839891"
_RED = "arXiv:1603.09056"
_MSD = "doi:10.1073/pnas.1715832114"
_DURR = "arXiv:1805.07709"
_UDVD = "arXiv:2011.15045"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One network with its options.

    Parameters
    ----------
    name : str
        Name in the table.
    title : str
        What it is, in a few words.
    architecture : str
        Key of :data:`lowdose.networks.ARCHITECTURES`.
    options : mapping
        Its options, where they are not the defaults.
    reference : str
        DOI or arXiv number of the publication; empty for our own.
    scaling : str
        Key of :data:`lowdose.networks.scaling.SCALINGS`: what its input is in its
        publication.
    parameters : int, optional
        Trainable parameters, as published or counted in the published program.
    receptive_field : tuple of int, optional
        Least and greatest receptive field as published [px].
    """

    name: str
    title: str
    architecture: str
    options: Mapping[str, Any] = field(default_factory=dict)
    reference: str = ""
    scaling: str
    parameters: int | None = None
    receptive_field: tuple[int, int] | None = None


#: Oversampled crystals: all work at a quarter of the resolution or less, on the whole
#: image.
_CRYSTALS: Final[Mapping[str, Any]] = {
    "blocks": (2, 2, 3),
    "stem": 4,
    "conditions": 10,
    "mixing": True,
    "residual": False,
}

VARIANTS: Final[tuple[Variant, ...]] = (
    Variant(
        name="lowdose-general",
        title="our own, of any micrograph: finite reach",
        architecture="lowdose",
        options={"base": 32, "blocks": (1, 2, 4), "conditions": 10},
        scaling="mean-and-noise",
    ),
    Variant(
        name="lowdose-s",
        title="our own for crystals, small: spectral mixing",
        architecture="lowdose",
        options={"base": 13, **_CRYSTALS},
        scaling="mean-and-noise",
    ),
    Variant(
        name="lowdose-m",
        title="our own for crystals, medium",
        architecture="lowdose",
        options={"base": 36, **_CRYSTALS},
        scaling="mean-and-noise",
    ),
    Variant(
        name="lowdose-l",
        title="our own for crystals, large",
        architecture="lowdose",
        options={"base": 75, **_CRYSTALS},
        scaling="mean-and-noise",
    ),
    Variant(
        name="lowdose-m-5",
        title="our own for movies of crystals: five frames",
        architecture="lowdose",
        options={"base": 36, **_CRYSTALS, "frames": 5},
        scaling="mean-and-noise",
    ),
    Variant(
        name="denoisenet",
        title="class-aware FCN (DenoiseNet)",
        architecture="denoisenet",
        reference="arXiv:1808.06562",
        scaling="centred",
        parameters=655_544,
        receptive_field=(41, 41),
    ),
    Variant(
        name="dncnn-17",
        title="DnCNN for one noise level",
        architecture="dncnn",
        options={"depth": 17},
        reference=_DNCNN,
        scaling="full-scale",
        parameters=557_057,
        receptive_field=(35, 35),
    ),
    Variant(
        name="dncnn-20",
        title="DnCNN for any noise level",
        architecture="dncnn",
        options={"depth": 20},
        reference=_DNCNN,
        scaling="full-scale",
        parameters=668_225,
        receptive_field=(41, 41),
    ),
    Variant(
        name="dncnn-sbd",
        title="DnCNN as SBD uses it: bias-free, no residual",
        architecture="dncnn",
        options={"depth": 20, "bias": False, "residual": False},
        reference=_SBD,
        scaling="counts",
        parameters=667_008,
        receptive_field=(41, 41),
    ),
    Variant(
        name="ffdnet",
        title="FFDNet with the noise level of counts",
        architecture="ffdnet",
        reference=_FFDNET,
        scaling="mean-and-noise",
        parameters=485_316,
    ),
    Variant(
        name="ffdnet-map",
        title="FFDNet given a noise-level map",
        architecture="ffdnet",
        options={"level": "map", "conditions": 1},
        reference=_FFDNET,
        scaling="full-scale",
        parameters=485_316,
        receptive_field=(62, 62),
    ),
    Variant(
        name="unet",
        title="U-Net of Ronneberger et al.",
        architecture="unet",
        reference="arXiv:1505.04597",
        scaling="full-scale",
        parameters=31_030_593,
    ),
    Variant(
        name="unet-em_denoise",
        title="U-Net of em_denoise",
        architecture="em_denoise_unet",
        reference=_EM_DENOISE,
        scaling="counts",
        parameters=122_737,
        receptive_field=(108, 116),
    ),
    Variant(
        name="red-10",
        title="deep encoder-decoder, one skip",
        architecture="red",
        options={"depth": 10, "step": 0},
        reference=_RED,
        scaling="full-scale",
        parameters=296_641,
    ),
    Variant(
        name="red-20",
        title="deep encoder-decoder with skips",
        architecture="red",
        options={"depth": 20},
        reference=_RED,
        scaling="full-scale",
        parameters=665_921,
    ),
    Variant(
        name="red-30",
        title="deep encoder-decoder with skips",
        architecture="red",
        options={"depth": 30},
        reference=_RED,
        scaling="full-scale",
        parameters=1_035_201,
        receptive_field=(61, 61),
    ),
    Variant(
        name="mcnn",
        title="multi-resolution CNN with side outputs",
        architecture="mcnn",
        options={"squashed": True},
        reference="doi:10.1038/s41598-020-62484-z",
        scaling="full-scale",
    ),
    Variant(
        name="mixed-scale-50",
        title="mixed-scale dense network, depth 50",
        architecture="mixed_scale",
        options={"depth": 50},
        reference=_MSD,
        scaling="standardised",
        parameters=11_577,
    ),
    Variant(
        name="mixed-scale-100",
        title="mixed-scale dense network, depth 100",
        architecture="mixed_scale",
        options={"depth": 100},
        reference=_MSD,
        scaling="standardised",
        parameters=45_652,
    ),
    Variant(
        name="mixed-scale-200",
        title="mixed-scale dense network, depth 200",
        architecture="mixed_scale",
        options={"depth": 200},
        reference=_MSD,
        scaling="standardised",
        parameters=181_302,
    ),
    Variant(
        name="unet2-2",
        title="UNet of SBD, 2 scales",
        architecture="unet2",
        options={"scales": 2, "base": 128},
        reference=_SBD,
        scaling="counts",
        parameters=1_627_137,
        receptive_field=(48, 52),
    ),
    Variant(
        name="unet2-4",
        title="UNet of SBD, 4 scales (its small checkpoint)",
        architecture="unet2",
        options={"scales": 4, "base": 128},
        reference=_SBD,
        scaling="counts",
        parameters=5_613_441,
        receptive_field=(220, 236),
    ),
    Variant(
        name="unet2-6",
        title="UNet of SBD, 6 scales, bias-free (its big checkpoint)",
        architecture="unet2",
        options={"scales": 6, "base": 128, "bias": False},
        reference=_SBD,
        scaling="counts",
        parameters=70_504_960,
        receptive_field=(892, 956),
    ),
    Variant(
        name="durr-unet",
        title="small UNet of DURR",
        architecture="durr_unet",
        reference=_DURR,
        scaling="counts",
        parameters=233_440,
        receptive_field=(45, 45),
    ),
    Variant(
        name="durr-unet-bias-free",
        title="small UNet of DURR without biases",
        architecture="durr_unet",
        options={"bias": False},
        reference=_SBD,
        scaling="counts",
        parameters=233_024,
        receptive_field=(45, 45),
    ),
    Variant(
        name="ede-code",
        title="atrous encoder-decoder, as Ede's program has it",
        architecture="ede",
        reference=_EDE,
        scaling="min-max",
        parameters=25_413_620,
    ),
    Variant(
        name="ede-paper",
        title="atrous encoder-decoder, as Ede's paper has it",
        architecture="ede",
        options={"norm": "between", "pooled": True, "activated": False},
        reference=_EDE,
        scaling="min-max",
    ),
    Variant(
        name="blind-spot",
        title="UDVD's half planes, single frame",
        architecture="blind_spot",
        reference=_UDVD,
        scaling="full-scale",
        parameters=1_118_832,
    ),
    Variant(
        name="blind-spot-5",
        title="UDVD's half planes, five frames",
        architecture="blind_spot",
        options={"frames": 5},
        reference=_UDVD,
        scaling="full-scale",
        parameters=2_123_664,
    ),
)


def find_variant(name: str) -> Variant:
    """Return the variant of a name.

    Raises
    ------
    ParameterError
        If there is none.
    """
    for variant in VARIANTS:
        if variant.name == name:
            return variant
    known = [variant.name for variant in VARIANTS]
    msg = f"There is no network {name!r}. {did_you_mean(name, known)}"
    raise ParameterError(msg)
