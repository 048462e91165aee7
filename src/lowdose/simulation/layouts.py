"""The layouts of the published data sets: opened as they are downloaded.

- em_graphene_sim: HDF5 files ``graphene_img_noise.h5`` and ``graphene_img_clean.h5``,
  data set ``images``, shape (N, 256, 256, 1) (SciML-Bench).
- SBD: a CSV that names 32-bit TIFFs and says particle, thickness, tilts, defocus and
  contrast class of each (S. Mohan et al., doi:10.1109/TCI.2022.3176536).
- Ede: a folder of high-dose TIFFs, averaged over 2 x 2 pixels and cut into crops of 512
  pixels (J. M. Ede, R. Beanland, doi:10.1016/j.ultramic.2019.03.017). The eight
  dihedral augmentations are :func:`lowdose.training.augmentation.dihedral`.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lowdose import io
from lowdose.errors import FormatError, InputError, InvalidImageError, ParameterError
from lowdose.io import paths
from lowdose.simulation.opening import open_hdf5

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    import h5py
    from numpy.random import Generator
    from numpy.typing import NDArray

    Image = NDArray[np.float32]

#: Columns of SBD's CSV, by number, and what they are called here. The numbers are those
#: that SBD's own loader reads; their meaning is inferred from SBD's logs of evaluation.
#: Thickness is in angstrom there, and in nanometre here.
SBD_COLUMNS: Final = {
    1: "particle",
    4: "thickness",
    5: "tilt_x",
    6: "tilt_y",
    10: "defocus",
    11: "contrast",
}
_TEXT: Final = ("particle", "contrast")
_TIFF: Final = (".tif", ".tiff")
#: Side of Ede's crops [px], and how many pixels become one along each axis.
EDE_CROP, EDE_BINNING = 512, 2


class ImagePairs:
    """Noisy and clean images of em_graphene_sim, read when they are asked for.

    Parameters
    ----------
    noisy, clean : path-like
        The two HDF5 files.

    Raises
    ------
    InputError
        If a file is missing.
    FormatError
        If one holds no ``images`` of shape (N, H, W, 1), or the two differ in shape.
    """

    def __init__(
        self, noisy: str | os.PathLike[str], clean: str | os.PathLike[str]
    ) -> None:
        self._files = [_open_images(Path(noisy)), _open_images(Path(clean))]
        shapes = [file["images"].shape for file in self._files]
        if shapes[0] != shapes[1]:
            self.close()
            msg = (
                f"{noisy} has images of shape {shapes[0]}, {clean} of {shapes[1]}: "
                "they do not belong together."
            )
            raise FormatError(msg)

    def __len__(self) -> int:
        return int(self._files[0]["images"].shape[0])

    def __getitem__(self, number: int) -> tuple[Image, Image]:
        """Return a noisy and a clean image, each of shape (H, W), float32."""
        if not -len(self) <= number < len(self):
            msg = f"There is no pair {number}; there are {len(self)}, from 0 on."
            raise IndexError(msg)
        noisy, clean = (
            np.asarray(file["images"][number % len(self), ..., 0], np.float32)
            for file in self._files
        )
        return noisy, clean

    def close(self) -> None:
        """Close both files."""
        for file in self._files:
            file.close()

    def __enter__(self) -> ImagePairs:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def open_pairs(folder: str | os.PathLike[str]) -> ImagePairs:
    """Open a folder of em_graphene_sim, such as ``train`` or ``test``.

    Parameters
    ----------
    folder : path-like
        Folder with ``graphene_img_noise.h5`` and ``graphene_img_clean.h5``.

    Returns
    -------
    ImagePairs

    Raises
    ------
    InputError
        If one of them is missing.
    FormatError
        If they are not of that layout.
    """
    place = Path(folder)
    return ImagePairs(place / "graphene_img_noise.h5", place / "graphene_img_clean.h5")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledImage:
    """An image file and what its list says about it.

    Parameters
    ----------
    path : Path
        The file.
    labels : dict
        Numbers and text by name; see :data:`SBD_COLUMNS`.
    """

    path: Path
    labels: dict[str, Any] = field(default_factory=dict)

    def read(self) -> Image:
        """Return the image, shape (H, W), float32, in the counts of the file.

        Raises
        ------
        InvalidImageError
            If the file holds a stack.
        """
        micrograph = io.read(self.path)
        if micrograph.n_frames != 1:
            msg = f"{self.path} holds {micrograph.n_frames} images; one was expected."
            raise InvalidImageError(msg)
        return np.asarray(micrograph.frame(0), np.float32)


def read_sbd_list(
    path: str | os.PathLike[str], *, images: str | os.PathLike[str] | None = None
) -> list[LabelledImage]:
    """Read the list of an SBD data set.

    Parameters
    ----------
    path : path-like
        The CSV: the file in column 0, and labels in the columns of
        :data:`SBD_COLUMNS`. A first line without numbers is taken for a heading.
    images : path-like, optional
        Folder that the files are in; that of the CSV by default.

    Returns
    -------
    list of LabelledImage
        In the order of the list. Thickness and defocus in nm, tilts in degrees.

    Raises
    ------
    InputError
        If the list is missing, or an image of it.
    FormatError
        If a line has too few columns, or text where a number should be.
    """
    source = Path(path)
    paths.check_input(source)
    folder = source.parent if images is None else Path(images)
    try:
        with source.open(newline="", encoding="utf-8-sig") as file:
            lines = [line for line in csv.reader(file) if line]
    except (UnicodeDecodeError, csv.Error) as error:
        msg = f"{source} is no CSV file ({error})."
        raise FormatError(msg) from error
    if lines and not _is_image(lines[0][0]):
        lines = lines[1:]
    if not lines:
        msg = f"{source} lists no TIFF files in its first column."
        raise FormatError(msg)
    return [_labelled(source, folder, line) for line in lines]


def list_micrographs(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the TIFF files in a folder and below it, sorted.

    Raises
    ------
    InputError
        If it is no folder, or there are none.
    """
    place = Path(folder)
    if not place.is_dir():
        msg = f"{place} is no folder. Give the folder that the micrographs are in."
        raise InputError(msg)
    found = sorted(
        file
        for file in place.rglob("*")
        if _is_image(file.name) and not file.name.startswith(".")
    )
    if not found:
        msg = f"There are no TIFF files in {place} or below it."
        raise InputError(msg)
    return found


def area_downsample(image: NDArray[Any], factor: int = EDE_BINNING) -> Image:
    """Average squares of pixels.

    Parameters
    ----------
    image : ndarray, shape (H, W)
        Counts.
    factor : int, optional
        Side of the squares [px]. Rows and columns that fill none are left out.

    Returns
    -------
    ndarray, shape (H // factor, W // factor), float32

    Raises
    ------
    ParameterError
        If the factor is below 1, or larger than the image.
    """
    if not 1 <= factor <= min(image.shape):
        msg = f"An image of shape {image.shape} cannot be downsampled by {factor}."
        raise ParameterError(msg)
    height, width = (side // factor for side in image.shape)
    cut = image[: height * factor, : width * factor].astype(np.float64)
    squares = cut.reshape(height, factor, width, factor)
    return np.asarray(squares.mean((1, 3)), np.float32)


def ede_crops(
    folder: str | os.PathLike[str],
    *,
    crop: int = EDE_CROP,
    binning: int = EDE_BINNING,
    per_image: int | None = None,
    rng: Generator | None = None,
) -> Iterator[Image]:
    """Cut crops from high-dose micrographs, as Ede and Beanland do.

    Parameters
    ----------
    folder : path-like
        Folder of TIFFs.
    crop : int, optional
        Side of the crops, after binning [px].
    binning : int, optional
        How many pixels are averaged into one along each axis.
    per_image : int, optional
        Random crops from each image. None: all that lie side by side.
    rng : Generator, optional
        Where they are; needed with `per_image`.

    Yields
    ------
    ndarray, shape (crop, crop), float32
        Mean counts. NaN and infinite pixels become the mean of the crop.

    Raises
    ------
    InputError
        If there are no TIFFs.
    InvalidImageError
        If an image is smaller than a crop.
    ParameterError
        If `per_image` is given without `rng`.
    """
    if per_image is not None and rng is None:
        msg = "Random crops need a generator: give rng=numpy.random.default_rng(seed)."
        raise ParameterError(msg)
    for path in list_micrographs(folder):
        for frame in io.read(path).frames():
            small = area_downsample(np.asarray(frame), binning)
            height, width = small.shape
            if min(height, width) < crop:
                msg = (
                    f"{path} has {height} x {width} px after binning by {binning}, "
                    f"less than a crop of {crop} px. Use smaller crops."
                )
                raise InvalidImageError(msg)
            for top, left in _corners(height, width, crop, per_image, rng):
                yield _finite(small[top : top + crop, left : left + crop])


def _corners(
    height: int, width: int, crop: int, number: int | None, rng: Generator | None
) -> list[tuple[int, int]]:
    if number is None or rng is None:
        return [
            (top, left)
            for top in range(0, height - crop + 1, crop)
            for left in range(0, width - crop + 1, crop)
        ]
    return [
        (int(rng.integers(height - crop + 1)), int(rng.integers(width - crop + 1)))
        for _ in range(number)
    ]


def _finite(image: Image) -> Image:
    good = np.isfinite(image)
    if good.all():
        return image
    mean = image[good].mean() if good.any() else np.float32(0)
    return np.where(good, image, mean)


def _open_images(path: Path) -> h5py.File:
    paths.check_input(path)
    file = open_hdf5(path)
    if "images" not in file or file["images"].ndim != 4 or file["images"].shape[3] != 1:
        found = ", ".join(f"{key} {getattr(file[key], 'shape', '')}" for key in file)
        file.close()
        msg = (
            f"{path} has no `images` of shape (N, H, W, 1), as em_graphene_sim has; it "
            f"holds {found or 'nothing'}."
        )
        raise FormatError(msg)
    return file


def _labelled(source: Path, folder: Path, line: list[str]) -> LabelledImage:
    if len(line) <= max(SBD_COLUMNS):
        msg = (
            f"{source}: the line of {line[0]!r} has {len(line)} columns; SBD's lists "
            f"have at least {max(SBD_COLUMNS) + 1}."
        )
        raise FormatError(msg)
    labels: dict[str, Any] = {}
    for number, name in SBD_COLUMNS.items():
        try:
            labels[name] = line[number] if name in _TEXT else float(line[number])
        except ValueError as error:
            msg = (
                f"{source}: {name}={line[number]!r} of {line[0]!r} (column {number}) "
                "is no number."
            )
            raise FormatError(msg) from error
    labels["thickness"] /= 10.0
    # "PtNp1-D2": the model of the particle, and its defect.
    labels["structure"], _, labels["defect"] = labels["particle"].partition("-")
    file = folder / line[0]
    if not file.is_file():
        msg = f"{source} names {line[0]}, which is not in {folder}."
        raise InputError(msg)
    return LabelledImage(path=file, labels=labels)


def _is_image(name: str) -> bool:
    return name.lower().endswith(_TIFF)
