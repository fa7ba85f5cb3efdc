"""Uploads to a store of datasets, whole and torn, and disks of any size."""

import hashlib

from raydient.server.jobs.headers import Header

CONTENT = b"x,y\n1,0\n2,1\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def upload(datasets, content=CONTENT, name="digits.csv", size=None, sha256=None, **more):
    announced = sha256 or hashlib.sha256(content).hexdigest()
    upload = datasets.begin(Header(name, len(content) if size is None else size, announced, **more))
    try:
        upload.open()
        for start in range(more.get("offset", 0), len(content), 5):
            upload.write(content[start : start + 5])
        return upload.finish()
    finally:
        upload.close()


def torn(datasets, content=CONTENT, size=12, **more):
    """An upload of some bytes of a file that is not finished."""
    upload = datasets.begin(Header("a.csv", size, SHA256, **more))
    upload.open()
    upload.write(content)
    return upload


class Disk:
    """A disk with `total` bytes, of which `free` are free."""

    def __init__(self, monkeypatch, total, free):
        self.total, self.free = total, free
        monkeypatch.setattr("raydient.server.jobs.disk.shutil.disk_usage", lambda folder: self)
