"""Packs data of a form that the server does not store into one file, which is uploaded and gives the same bits."""

import zipfile
from pathlib import Path

from raydient.spec.csv_text import PLAIN
from raydient.spec.dataset import DEFAULT_ARRAY, DEFAULT_LABEL, Dataset
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.idx import IdxFile, is_idx, labels_of, open_idx
from raydient.spec.patterns import DataPath, are_several, files_of, paths_of
from raydient.spec.text_files import is_text_file

from .image_packing import pack_images
from .joining import join, naming
from .text_packing import pack_texts


def pack(data: DataPath, dataset: Dataset | None, field: str, folder: Path) -> Path:
    """Return one file with the data that paths name: itself, or a new one.

    Several files become one table, the images and labels of IDX files the arrays of an NPZ file, and images that a
    table names by their paths, or that lie in a folder, an Arrow file with their bytes. Text files become a CSV file.

    Args:
        data: names the files.
        dataset: names the columns of images, and the dialect of CSV files.
        field: path of the setting that names the data.
        folder: an existing folder for a new file.

    Raises:
        InvalidSpec: a file cannot be read, or several do not fit together.
        MissingExtra: pyarrow is not installed, which images, Parquet and Arrow files need.
    """
    dialect = dataset.csv.dialect if dataset is not None else PLAIN
    path, has_images = paths_of(data)[0], dataset is not None and bool(dataset.images)
    if is_idx(path) and not are_several(data):
        return _pack_idx(path, field, folder / f"{path.name}.npz")
    if is_text_file(path) or (path.is_dir() and not has_images):
        return pack_texts(data, dialect, field, folder)
    if dataset is not None and has_images and path.suffix.lower() != ".npz":
        parts = []
        for number, file in enumerate(files_of(data)):  # each names images in its own folder
            (folder / str(number)).mkdir()
            base = file if file.is_dir() else file.parent
            parts.append(pack_images(file, dataset, field, base, folder / str(number)))
        return join(tuple(parts), dialect, field, folder) if len(parts) > 1 else parts[0]
    return join(data, dialect, field, folder) if are_several(data) else path


def _pack_idx(images: Path, field: str, output: Path) -> Path:
    labels = labels_of(images)
    if labels is None or not labels.is_file():
        name = "with a name that has `labels` in place of `images`" if labels is None else f"named '{labels.name}'"
        raise InvalidSpec([FieldError(field, f"'{images.name}': there is no file of its labels, {name}")])
    with zipfile.ZipFile(output, "w") as archive:
        for name, file in ((DEFAULT_ARRAY, images), (DEFAULT_LABEL, labels)):
            with naming(field, file), open_idx(file) as opened:
                _add(archive, name, opened)
    return output


def _add(archive: zipfile.ZipFile, name: str, file: IdxFile) -> None:
    """Add an array to an NPZ file. The same values give the same bytes, whose digest the server may know."""
    from numpy.lib.format import write_array_header_1_0

    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
        write_array_header_1_0(member, {"descr": "|u1", "fortran_order": False, "shape": file.shape})
        for block in file.blocks():
            member.write(block)
