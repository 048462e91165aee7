"""``lowdose compare``: which denoiser is best on your own image."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lowdose.cli.denoise import add_device_argument, load_denoiser
from lowdose.cli.inspect import followed
from lowdose.cli.noise_options import add_noise_arguments, given_noise
from lowdose.cli.reporting import reporting
from lowdose.cli.stopping import stop_on_signals
from lowdose.cli.terminal import DONE, columns, say, write
from lowdose.errors import InvalidImageError, ParameterError

if TYPE_CHECKING:
    import argparse

    from lowdose.cli.reporting import Report
    from lowdose.denoiser import Denoiser
    from lowdose.inference import DenoiseOptions
    from lowdose.metrics import Estimate
    from lowdose.micrograph import Micrograph
    from lowdose.noise import NoiseModel
    from lowdose.progress import ShouldStop
    from lowdose.trust.ranking import Ranking

NAME: Final = "compare"
SUMMARY: Final = "rank denoisers on your own noisy image, without the truth"
DESCRIPTION: Final = """\
Rank denoisers by their error on an image of which nothing but the noisy counts is
known, and say how sure the order is. Each is run on the image and on copies of it from
which a few of the electrons are held out (or, where electrons were not counted, that
are changed a little at random); that tells its squared error without bias.
"""
EXAMPLES: Final = """\
examples:
  lowdose compare image.tif --denoiser general --denoiser gaussian --denoiser nl-means
  lowdose compare image.tif -d gaussian:sigma=1 -d gaussian:sigma=2 -d gaussian:sigma=4
  lowdose compare movie.mrc -d general -d wavelet --frames 8 --json
  lowdose compare image.tif -d general -d bm3d -d wavelet --tune
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``lowdose compare``."""
    parser.add_argument("file", metavar="FILE", help="an image or a stack, noisy")
    parser.add_argument(
        "-d",
        "--denoiser",
        action="append",
        default=[],
        metavar="NAME[:KEY=VALUE,...]",
        dest="denoisers",
        help="a name from `lowdose denoisers`, or the path of a model folder, with "
        "values of its parameters; give several. Default: all that there are",
    )
    parser.add_argument(
        "--dataset", metavar="PATH", help="which image, where a file holds several"
    )
    parser.add_argument(
        "--frames",
        type=int,
        default=3,
        metavar="N",
        help="score at most this many frames of a stack (default: 3)",
    )
    parser.add_argument(
        "--probes",
        type=int,
        default=2,
        metavar="N",
        help="how often each is probed per frame (default: 2)",
    )
    parser.add_argument(
        "--tune",
        action="store_true",
        help="first find the best parameters of each filter on the middle frame, "
        "without the truth; those that are given stand",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="S", help="seed (default: 0)"
    )
    add_device_argument(parser)
    add_noise_arguments(parser)
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    parser.add_argument("--json", action="store_true", help="write the scores as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Rank the denoisers."""
    from lowdose import io
    from lowdose.inference import DenoiseOptions
    from lowdose.trust.ranking import iter_ranking

    noise = given_noise(arguments)
    options = DenoiseOptions(device=arguments.device)
    image = io.read(arguments.file, dataset=arguments.dataset)
    denoisers = _denoisers(arguments.denoisers, options, image)
    title = Path(arguments.file).name
    with (
        stop_on_signals() as should_stop,
        reporting(title, unit="runs", quiet=arguments.quiet) as report,
    ):
        if arguments.tune:
            denoisers = _tuned(
                denoisers, image, noise, arguments.seed, report, should_stop
            )
        job = iter_ranking(
            image,
            denoisers,
            noise=noise,
            frames=arguments.frames,
            probes=arguments.probes,
            seed=arguments.seed,
            options=options,
            should_stop=should_stop,
        )
        found: Ranking = followed(job, report)
    if arguments.json:
        described = {name: one.describe() for name, one in denoisers.items()}
        record = {"file": arguments.file, "denoisers": described, **found.to_dict()}
        write(json.dumps(record, indent=2))
    else:
        _tell(found)
    return DONE


def parse(text: str) -> tuple[str, dict[str, str]]:
    """Return the name and the values of ``NAME:KEY=VALUE,KEY=VALUE``.

    Raises
    ------
    ParameterError
        If it is not of that form.
    """
    # A path may have a colon, C:\\models; values always have an equals sign.
    name, colon, values = text.rpartition(":")
    if not colon or "=" not in values:
        return text, {}
    settings: dict[str, str] = {}
    for pair in values.split(","):
        key, equals, value = (part.strip() for part in pair.partition("="))
        if not (name and key and equals and value):
            msg = (
                f"--denoiser {text!r} is not of the form NAME:KEY=VALUE,KEY=VALUE, "
                "such as gaussian:sigma=1.5."
            )
            raise ParameterError(msg)
        settings[key] = value
    return name, settings


def _denoisers(
    texts: list[str], options: DenoiseOptions, image: Micrograph
) -> dict[str, Denoiser]:
    """Return the denoisers that were named, or all that fit the image."""
    from lowdose import catalogue
    from lowdose.inference.fitting import fitted

    every = not texts
    if every:
        # Baselines of publications are there to be measured, not to be taken.
        infos = catalogue.list_denoisers()
        texts = [info.name for info in infos if info.group != "baseline"]
    if len(set(texts)) < 2:
        msg = "Give --denoiser at least twice, with different names or values."
        raise ParameterError(msg)
    denoisers = {}
    for text in texts:
        name, settings = parse(text)
        denoiser = load_denoiser(name, options, settings=settings)
        try:
            denoisers[text] = fitted(denoiser, image)
        except ParameterError as error:
            if not every:
                raise
            say(f"{text} is left out. {error}")
    return denoisers


def _tuned(
    denoisers: dict[str, Denoiser],
    image: Micrograph,
    noise: NoiseModel | None,
    seed: int,
    report: Report,
    should_stop: ShouldStop,
) -> dict[str, Denoiser]:
    """Return the denoisers with their filters tuned on the middle frame."""
    import numpy as np

    from lowdose.filters import FILTERS, make
    from lowdose.filters.tuning import tune_by_thinning

    frame = np.asarray(image.frame(image.n_frames // 2))
    if not np.isfinite(frame).all():
        msg = "--tune needs a frame without NaN and Inf; fill the missing pixels first."
        raise InvalidImageError(msg)
    result = {}
    for text, denoiser in denoisers.items():
        name, given = parse(text)
        if name not in FILTERS:
            result[text] = denoiser  # a network has nothing to be tuned
            continue
        found = tune_by_thinning(
            frame,
            name,
            noise=noise,
            fixed=given,
            # Not the electrons that the ranking holds out.
            seed=seed + 1,
            should_stop=should_stop,
            on_progress=report,
        )
        words = ",".join(
            f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}"
            for key, value in found.values.items()
        )
        values: dict[str, Any] = dict(found.values)
        result[f"{name}:{words}"] = make(name, **values)
    return result


def _tell(found: Ranking) -> None:
    """Write the table and the verdict."""
    rows = [("denoiser", "PSNR [dB]", "95 % interval", "deviance", "chance to be best")]
    for row in found.rows:
        deviance = "" if row.deviance is None else f"{row.deviance:.4f}"
        rows.append(
            (
                row.name,
                _psnr(row.psnr),
                _interval(row.psnr),
                deviance,
                f"{row.best:.0%}",
            )
        )
    write(columns(rows))
    write(found.verdict)
    write(
        f"PSNR for a peak of {found.peak:.4g} counts, the range of the denoised "
        "images. The intervals include the noise that all denoisers share, the chances "
        "do not."
    )
    for caveat in found.caveats:
        write(f"note: {caveat}")


def _psnr(psnr: Estimate) -> str:
    """Return the value, or a bound where the error cannot be told from zero."""
    finite = math.isfinite(psnr.value)
    return f"{psnr.value:.2f}" if finite else f"> {psnr.low:.2f}"


def _interval(psnr: Estimate) -> str:
    return f"{psnr.low:.2f} to {psnr.high:.2f}"
