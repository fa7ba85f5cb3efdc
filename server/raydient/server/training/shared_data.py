"""The data of a run as its workers get them."""

from contextlib import suppress

from raydient.steps.manifest import Manifest
from raydient.wire import control
from raydient.wire.frames import ProtocolError
from raydient.wire.memory import Bundle, Segment
from raydient.workers.data import Dataset


class SharedData:
    """The arrays of a data set: the kept file of a large one, or a copy.

    Workers on this node map them. Other workers receive a copy, or the data shards of a kept file that their nodes
    lack.
    """

    def __init__(self, dataset: Dataset) -> None:
        """OSError if there is no room."""
        self._manifest: Manifest | None = None
        if dataset.kept is not None:
            with suppress(FileNotFoundError):  # removed meanwhile for another one; the mapped arrays are still there
                places = dataset.kept.manifest.places
                self._bundle = Bundle(Segment.of_file(dataset.kept.path), places)
                self._manifest = dataset.kept.manifest
                return
        self._bundle = Bundle.of(dataset.arrays(), dataset.folder)

    def for_worker(self, *, is_local: bool) -> tuple[Manifest | None, Bundle | None]:
        """Return the manifest for a worker that fetches what it lacks, or the arrays for another one."""
        fetches = self._manifest is not None and not is_local
        return (self._manifest, None) if fetches else (None, self._bundle)

    def shard(self, number: int) -> tuple[control.DataShard, Bundle]:
        """Return the answer to a request for a data shard. ProtocolError if there is no such shard."""
        if self._manifest is None or not 0 <= number < len(self._manifest.checksums):
            raise ProtocolError(f"data shard {number} was asked for, which there is not")
        size = self._manifest.bytes_of(number)
        content = self._bundle.segment.array("|u1", (size.stop - size.start,), size.start)
        return control.DataShard(number), Bundle.of({control.CONTENT: content})
