"""Writing a model as a package that other programs run without lowdose."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lowdose.errors import OutputError, ParameterError, did_you_mean
from lowdose.io import paths
from lowdose.zoo.shelf import find_model

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowdose.zoo.programs import ProgramSource

#: What a model can be exported as, and the file or folder that it becomes by default.
FORMATS: Final[Mapping[str, str]] = {
    "onnx": "{name}-onnx",
    "torch-export": "{name}-torch-export",
    "bioimageio": "{name}.bioimageio.zip",
}

#: The file by which a folder is known to be a package, and may be replaced.
METADATA: Final = "model.json"


def export_model(
    name: str | Path,
    kind: str,
    path: Path | None = None,
    *,
    values: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a model as a package for other programs.

    Parameters
    ----------
    name : str or Path
        Of a model, or the path of a model folder.
    kind : {"onnx", "torch-export", "bioimageio"}
        ``onnx`` and ``torch-export`` make a folder with two programs, ``measure`` and
        ``denoise``, a README and ``model.json``; ``bioimageio`` makes a zip file as
        the model zoo bioimage.io takes it, with one program for a whole frame.
    path : Path, optional
        What to write. By default named after model and format, in the current folder.
    values : mapping, optional
        Of parameters of the model, built into the programs; its defaults otherwise.
        A binning that is not given is 1.
    overwrite : bool, optional
        Replace a package that is there.

    Returns
    -------
    Path
        What was written. Nothing is left of what could not be completed.

    Raises
    ------
    UnknownDenoiserError
        If there is no such model.
    ParameterError
        If the format or a value is not known or not allowed, or the card has not what
        the format asks for.
    MissingExtraError
        If the packages for the format are not installed.
    WeightsError
        If the weights are missing, damaged, unsafe or do not fit the network.
    OutputError
        If it cannot be written there.
    """
    if kind not in FORMATS:
        msg = f"format={kind!r} is not known. {did_you_mean(kind, FORMATS)}"
        raise ParameterError(msg)
    card = find_model(name)
    path = path or Path(FORMATS[kind].format(name=card.name))
    _check_place(path, kind, overwrite=overwrite)
    # torch from here on.
    from lowdose.networks.exporting import check_onnx
    from lowdose.zoo import bioimageio_package
    from lowdose.zoo.programs import program_source

    if kind != "torch-export":
        check_onnx()
    if kind == "bioimageio":
        bioimageio_package.check_extra()
    source = program_source(card, dict(values or {}))
    part = paths.temporary_name(path)
    with paths.in_words(path):
        try:
            if kind == "bioimageio":
                with tempfile.TemporaryDirectory() as folder:
                    bioimageio_package.write_package(source, Path(folder), part)
            else:
                part.mkdir()
                _write_folder(source, kind, part)
            paths.publish(part, path, overwrite=overwrite)
        finally:
            paths.remove(part)
    return path


def _check_place(path: Path, kind: str, *, overwrite: bool) -> None:
    if kind == "bioimageio":
        if not path.name.endswith(".zip"):
            msg = f"Cannot write {path}: its name must end with .zip."
            raise ParameterError(msg)
        paths.check_output(path, overwrite=overwrite)
    elif path.is_dir() and overwrite:
        if not (path / METADATA).is_file() and any(path.iterdir()):
            msg = (
                f"{path} is a folder that no export has made: it has no {METADATA}. "
                "Give another name."
            )
            raise OutputError(msg)
    elif path.is_dir():
        msg = f"{path} exists already. Give another name, or --overwrite to replace it."
        raise OutputError(msg)
    else:
        # A folder does not replace a file.
        paths.check_output(path, overwrite=False)


def _write_folder(source: ProgramSource, kind: str, folder: Path) -> None:
    from lowdose.zoo.export_text import metadata, readme
    from lowdose.zoo.programs import denoise_program, measure_program

    sizes = {}
    for name, program in (
        ("measure", measure_program(source)),
        ("denoise", denoise_program(source)),
    ):
        if kind == "onnx":
            program.save_onnx(folder / f"{name}.onnx")
        else:
            program.save_torch(folder / f"{name}.pt2")
        sizes[name] = program.size
    facts = metadata(source, kind, sizes)
    text = json.dumps(facts, indent=2, ensure_ascii=False)
    (folder / METADATA).write_text(text + "\n", encoding="utf-8")
    (folder / "README.md").write_text(readme(facts), encoding="utf-8")
