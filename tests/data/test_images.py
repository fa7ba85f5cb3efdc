"""Images: columns of paths or bytes, and folders of files."""

import io
import sys
import threading
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pydantic import ValidationError

from raydient.client.packing import pack
from raydient.spec import decoding
from raydient.spec.dataset import Dataset
from raydient.spec.errors import InvalidSpec
from raydient.spec.network import Output
from raydient.workers.data import limits, load

SIZE = {"height": 4, "width": 5}
IMAGE = {"image": {"columns": "image", "image": SIZE}}
LOSS = {"softmax_cross_entropy": {"categories": True}}


def picture(seed: int, mode: str = "RGB", size: tuple[int, int] = (5, 4)) -> Image.Image:
    """An image (width, height) of random values."""
    bands = len(Image.new(mode, (1, 1)).getbands())
    values = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], bands), np.uint8)
    return Image.fromarray(values[:, :, 0] if bands == 1 else values).convert(mode)


def content(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    """The bytes of a file."""
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def load_from(path: Path, **settings: object):
    """Load images of a column `image` with labels `label`; nothing is held out."""
    spec = {"uri": path.name, "label": "label", "inputs": IMAGE, "split": {"test": 0.0}, **settings}
    return load(Dataset.model_validate(spec), path, [Output(layer="out", label="label", loss=LOSS)], 1)


def bits_of(data) -> dict[str, bytes]:
    """The arrays of data, as bytes."""
    return {name: array.tobytes() for name, array in data.arrays().items()}


def errors_of(path: Path, **settings: object) -> list[tuple[str, str]]:
    """Path and message of each error."""
    with pytest.raises(InvalidSpec) as caught:
        load_from(path, **settings)
    return [(error.path, error.message) for error in caught.value.errors]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of six images in two sub-folders, with what is left out."""
    root = tmp_path / "pictures"
    for number in range(6):
        file = root / ("no", "yes")[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content(picture(number)))
    (root / "no" / "notes.txt").write_text("x")
    (root / "no" / ".hidden.png").write_text("x")
    (root / "outside.png").write_text("x")
    return root


ORDER = (0, 2, 4, 1, 3, 5)
X = np.stack([np.asarray(picture(number)) for number in ORDER])


def test_a_folder_is_a_table_of_images_and_labels(folder: Path) -> None:
    data = load_from(folder)
    assert np.array_equal(data.train.x, (X / 255).astype(np.float32))
    assert data.targets["out"].classes == ("no", "yes")
    assert data.train.y.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.input.shape == (4, 5, 3)
    assert data.input.is_image


def write_table(path: Path, images: list[object], labels: list[str]) -> None:
    match path.suffix:
        case ".csv":
            rows = [f'"{image}",{label}' for image, label in zip(images, labels, strict=True)]
            path.write_text("\n".join(["image,label", *rows]))
        case ".parquet":
            pq.write_table(pa.table({"image": images, "label": labels}), path, row_group_size=3)
        case _:
            feather.write_feather(pa.table({"image": images, "label": labels}), path, chunksize=2)


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [
        *((suffix, "paths") for suffix in (".csv", ".parquet", ".arrow")),
        *((suffix, "bytes") for suffix in (".parquet", ".arrow")),
        (".parquet", "structures"),
    ],
)
def test_a_table_has_the_same_bits_as_the_folder(folder: Path, suffix: str, kind: str) -> None:
    paths, labels = zip(*decoding.image_files(folder), strict=True)
    images: list[object] = list(paths)
    if kind != "paths":
        images = [(folder / path).read_bytes() for path in paths]
    if kind == "structures":
        images = [{"bytes": one, "path": None} for one in images]
    write_table(folder / f"table{suffix}", images, list(labels))
    assert bits_of(load_from(folder / f"table{suffix}")) == bits_of(load_from(folder))


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".feather"])
def test_what_is_uploaded_has_the_same_bits(folder: Path, tmp_path: Path, suffix: str) -> None:
    paths, labels = zip(*decoding.image_files(folder), strict=True)
    write_table(folder / f"table{suffix}", list(paths), list(labels))
    write_table(folder / f"more{suffix}", list(paths), list(labels))
    spec = Dataset.model_validate({"uri": "x", "inputs": IMAGE})
    for name in ("", f"table{suffix}", f"[tm]*{suffix}"):
        (tmp_path / f"packed{name}").mkdir()
        packed = pack(folder / name, spec, "dataset.uri", tmp_path / f"packed{name}")
        assert packed.suffix == ".arrow"
        assert bits_of(load_from(packed)) == bits_of(load_from(folder / name))
    assert pack(packed, spec, "dataset.uri", tmp_path) == packed, "it has the bytes already"


def test_a_table_with_other_columns_is_uploaded_with_the_same_bits(folder: Path, tmp_path: Path) -> None:
    text = 'image;a;kind;label\n"no/0.png";1,5;"NA";true\nno/2.png;NA;x;FALSE\n\nyes/1.png; 2 ;NA;true\n'
    (folder / "table.csv").write_text(text)
    inputs = {**IMAGE, "numbers": "a", "kind": {"columns": "kind", "categories": True, "buckets": True}}
    settings = {"inputs": inputs, "impute": "mean", "csv": {"decimal": ","}, "standardize": True}
    spec = Dataset.model_validate({"uri": "x", **settings})
    packed = pack(folder / "table.csv", spec, "dataset.uri", tmp_path)
    assert bits_of(load_from(packed, **settings)) == bits_of(load_from(folder / "table.csv", **settings))


def test_tables_in_several_folders_name_images_in_their_own(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "others"
    (other / "no").mkdir(parents=True)
    (other / "no" / "0.png").write_bytes(content(picture(9)))
    for place in (folder, other):
        (place / "table.csv").write_text("image,label\nno/0.png,a\n")
    spec = Dataset.model_validate({"uri": "x", "inputs": IMAGE})
    for number, data in enumerate(((folder / "table.csv", other / "table.csv"), (folder, other))):
        (tmp_path / str(number)).mkdir()
        packed = pack(data, spec, "dataset.uri", tmp_path / str(number))
        settings = {"uri": "x", "label": "label", "inputs": IMAGE, "split": {"test": 0.0}}
        outputs = [Output(layer="out", label="label", loss=LOSS)]
        expected = load(Dataset.model_validate(settings), data, outputs, 1)
        assert bits_of(load_from(packed)) == bits_of(expected)
        assert np.array_equal(expected.train.x[-1], (np.asarray(picture(9)) / 255).astype(np.float32))


def test_images_are_standardized_by_pixel(folder: Path) -> None:
    data = load_from(folder, standardize=True)
    np.testing.assert_allclose(data.train.x.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(data.train.x.std(axis=0), 1, atol=1e-6)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "CMYK"])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_any_mode_become_grey_or_colour(mode: str, channels: int) -> None:
    image = picture(3, "L").convert("RGB").convert(mode) if mode in ("P", "1", "CMYK") else picture(3, mode)
    form = "JPEG" if mode == "CMYK" else "PNG"
    decoded = decoding.decode(content(image, form), (4, 5, channels))
    expected = Image.open(io.BytesIO(content(image, form))).convert("L" if channels == 1 else "RGB")
    assert np.array_equal(decoded, np.asarray(expected).reshape(4, 5, channels))


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    values = np.arange(20, dtype=np.uint16).reshape(4, 5) * 3000
    assert np.array_equal(
        decoding.decode(content(Image.fromarray(values)), (4, 5, 1))[:, :, 0], (values >> 8).astype(np.uint8)
    )


def test_images_are_resized_by_averaging_and_turned_as_their_camera_says() -> None:
    values = np.zeros((8, 10, 3), np.uint8)
    values[:, 5:] = 200
    image = Image.fromarray(values)
    small = decoding.decode(content(image), (1, 1, 3))
    assert small.ravel().tolist() == [100, 100, 100]
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    turned = decoding.decode(content(image, exif=exif), (10, 8, 3))
    assert np.array_equal(turned, np.rot90(values, -1))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("/etc/passwd", "is not a path below the folder of the table"),
        ("../secret.png", "is not a path below the folder of the table"),
        ("no/../../secret.png", "is not a path below the folder of the table"),
        ("link.png", "is a link out of the folder of the table"),
        ("linked/secret.png", "is a link out of the folder of the table"),
        ("absent.png", "cannot be read: No such file or directory"),
        ("no", "is not a file"),
        ("loop.png", "cannot be read"),
        ("text.png", "is none of the images that are read: PNG, JPEG, BMP, GIF, WEBP"),
        ("short.png", "is damaged: "),
        ("vector.tiff", "is none of the images that are read"),
    ],
)
def test_a_bad_path_is_named_with_its_row(folder: Path, name: str, words: str) -> None:
    (folder.parent / "secret.png").write_bytes(content(picture(0)))
    (folder / "link.png").symlink_to(folder.parent / "secret.png")
    (folder / "linked").symlink_to(folder.parent)
    (folder / "loop.png").symlink_to(folder / "loop.png")
    (folder / "text.png").write_text("no image")
    (folder / "short.png").write_bytes(content(picture(0, size=(50, 40)))[:-700])
    (folder / "vector.tiff").write_bytes(content(picture(0), "TIFF"))
    write_table(folder / "table.csv", ["no/0.png", name], ["a", "b"])
    ((path, message),) = errors_of(folder / "table.csv")
    assert path == "dataset.inputs.image.columns[0]"
    assert message.startswith(f"column 'image': {name!r} in row 2 {words}")


def test_bad_bytes_are_named_by_their_row_and_counted(tmp_path: Path) -> None:
    images = [content(picture(0)), None, b"", b"GIF89a", *[b"x"] * 9]
    feather.write_feather(pa.table({"image": images, "label": [*"aabbaabbaabba"]}), tmp_path / "table.arrow")
    messages = [message for _, message in errors_of(tmp_path / "table.arrow")]
    assert messages[0] == "column 'image': row 2 has no image"
    assert messages[2].startswith("column 'image': the image in row 4 is ")
    assert messages[-1] == "2 more images cannot be read"


def test_a_column_of_another_type_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": [1], "label": ["a"]}), tmp_path / "table.parquet")
    ((path, message),) = errors_of(tmp_path / "table.parquet")
    assert path == "dataset.inputs.image.columns[0]"
    assert "has the type int64, but images are the paths of files, as texts, or the bytes of files" in message


def test_images_of_many_pixels_are_refused_before_they_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def header(width: int, height: int) -> bytes:
        """A PNG file without pixels."""
        chunk = b"IHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\0\0\0"
        return b"\x89PNG\r\n\x1a\n\0\0\0\x0d" + chunk + zlib.crc32(chunk).to_bytes(4, "big") + b"\0\0\0\0IDAT"

    monkeypatch.setattr(decoding, "pixels", None)  # would fail
    for size in ((8193, 8192), (10_000, 9_000), (100_000, 100_000), (2**31 - 1, 2**31 - 1)):
        with pytest.raises(decoding.ImageError, match="pixels"):
            decoding.decode(header(*size), (4, 5, 3))


def test_an_image_without_memory_is_not_called_damaged(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise MemoryError

    content = io.BytesIO()
    Image.new("L", (4, 5)).save(content, "PNG")
    monkeypatch.setattr(decoding, "pixels", full)
    with pytest.raises(decoding.ImageError, match="does not fit the memory"):
        decoding.decode(content.getvalue(), (4, 5, 3))


def test_an_image_that_takes_more_memory_than_is_free_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(1, size=(40, 30)).save(folder / "no" / "large.png")
    monkeypatch.setattr("raydient.workers.data.image_values.available_bytes", lambda: 2 * 12 * 40 * 30 - 1)
    assert errors_of(folder) == [
        (
            "dataset.inputs.image.columns[0]",
            "column 'image': 'no/large.png' in row 4 does not fit the memory that is free",
        )
    ]
    monkeypatch.setattr("raydient.workers.data.image_values.available_bytes", lambda: 2 * 12 * 40 * 30)
    assert load_from(folder).train.rows == 7


def test_threads_decode_as_many_images_at_once_as_fit_the_memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock, pixels, at_once, most = threading.Lock(), decoding.pixels, [0], [0]

    def counted(image: Image.Image, shape: tuple[int, int, int]) -> object:
        with lock:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
        try:
            return pixels(image, shape)
        finally:
            with lock:
                at_once[0] -= 1

    monkeypatch.setattr(decoding, "pixels", counted)
    monkeypatch.setattr("raydient.workers.data.image_values.available_bytes", lambda: 2 * 12 * 4 * 5)  # one image
    assert np.array_equal(load_from(folder).train.x, (X / 255).astype(np.float32))
    assert most == [1]


def test_images_that_do_not_fit_lie_in_files(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = load_from(folder)
    monkeypatch.setattr(limits, "available_bytes", lambda: 4_000)
    monkeypatch.setattr(limits, "LEAST_FILE_BYTES", 1)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    data = load_from(folder)
    assert bits_of(data) == bits_of(expected)
    assert data.folder == tmp_path
    monkeypatch.setattr(limits, "disk_usage", lambda _: SimpleNamespace(free=100))
    monkeypatch.setattr("raydient.workers.data.image_values.decode", None)  # would fail
    assert "do not fit" in errors_of(folder)[0][1]


def test_folders_that_are_no_data(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert errors_of(tmp_path / "empty") == [
        (
            "dataset.uri",
            "the folder has no images: its sub-folders, named as labels, hold files " + ", ".join(decoding.SUFFIXES),
        )
    ]
    dataset = Dataset.model_validate({"uri": "empty", "label": "label", "inputs": IMAGE})
    (tmp_path / "packed").mkdir()
    with pytest.raises(InvalidSpec) as caught:
        pack(tmp_path / "empty", dataset, "dataset.uri", tmp_path / "packed")
    assert [str(error) for error in caught.value.errors] == [f"dataset.uri: 'empty': {decoding.NO_IMAGES}"]
    ((path, message),) = errors_of(folder, inputs={}, features=["image"])
    assert path == "dataset.inputs"
    assert "image: {height: 64, width: 64}" in message


def test_without_pillow_the_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    ((path, message),) = errors_of(folder)
    assert path == "dataset.inputs.image.image"
    assert "pip install 'raydient[images]'" in message


def test_no_mutation_of_an_image_does_harm() -> None:
    generator = np.random.default_rng(5)
    files = [content(picture(1, size=(20, 30)), form) for form in ("PNG", "JPEG", "GIF", "BMP", "WEBP")]
    refused = 0
    for number in range(500):
        data = bytearray(files[number % len(files)])
        for place in generator.integers(0, len(data), 3):
            data[place] = generator.integers(256)
        try:
            assert decoding.decode(bytes(data), (4, 5, 3)).shape == (4, 5, 3)
        except decoding.ImageError:
            refused += 1
    assert 0 < refused < 500


@pytest.mark.parametrize(
    ("input_", "words"),
    [
        ({"columns": ["a", "b"], "image": SIZE}, "the images of an input are in one column"),
        ({"columns": "a", "categories": True, "image": SIZE}, "images are neither categories nor texts"),
        ({"columns": "a", "image": {**SIZE, "channels": 2}}, "channels"),
        ({"columns": "a", "image": {"height": 0, "width": 4}}, "height"),
    ],
)
def test_an_input_of_images_has_one_column(input_: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Dataset.model_validate({"uri": "x", "inputs": {"a": input_}})


def test_columns_of_images_are_not_prepared_as_numbers() -> None:
    with pytest.raises(ValidationError, match="holds images: only numbers and dates are prepared"):
        Dataset.model_validate({"uri": "x", "inputs": IMAGE, "columns": {"image": {"log": True}}})
