"""The example with a folder of images: a folder and its upload, augmented, train to the same bits on any workers."""

from pathlib import Path

from examples.images.make_digits import HERE, main
from raydient.client.packing import pack
from raydient.server.embedded import train
from raydient.spec.reading import parse_job


def test_a_folder_of_images_and_its_upload_have_one_digest(tmp_path: Path) -> None:
    main(tmp_path / "digits", 200)
    text = (HERE / "digits.yaml").read_text(encoding="utf-8").replace("epochs: 30", "epochs: 3")
    text = text.replace("split:", "augment: {pixels: {horizontal_flip: true, shift: 1, noise: 0.1}}\n  split:")
    spec = parse_job(text)
    uploaded = pack(tmp_path / "digits", spec.dataset, "dataset.uri", tmp_path)
    assert uploaded.suffix == ".arrow"
    digests = set()
    for number, data in enumerate((tmp_path / "digits", uploaded)):
        job = parse_job(text + f"resources: {{workers: {3 - 2 * number}}}\n")
        finished = train(job, data, directory=tmp_path / f"job{number}", report=lambda _: None)
        digests.add(finished.digest)
    assert len(digests) == 1
