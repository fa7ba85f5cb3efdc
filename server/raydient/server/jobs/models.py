"""Trained models, read from their files."""

import hashlib
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from raydient.server.errors import DataLoss, NotAllowed, NotFound
from raydient.workers.network import ExportFormat, Model, ModelError, ModelTooLargeError, export_model, load_model

from .disk import disk_may_be_full

MODELS_KEPT = 4


class StoredModels:
    """Loads and exports models, and caches the models used last. May be used from any thread; methods block it."""

    def __init__(self) -> None:
        self._models: OrderedDict[tuple[str, int, int], Model] = OrderedDict()
        self._lock = threading.Lock()

    def load(self, path: Path) -> Model:
        """Load the file of a model or of a checkpoint's weights. Raises NotFound, DataLoss."""
        with _file_errors():
            status = path.stat()
            key = (str(path), status.st_mtime_ns, status.st_size)
            with self._lock:
                if key in self._models:
                    self._models.move_to_end(key)
                    return self._models[key]
            model = load_model(path)
        with self._lock:
            self._models[key] = model
            while len(self._models) > MODELS_KEPT:
                self._models.popitem(last=False)
        return model

    def export(self, path: Path, wanted: ExportFormat) -> tuple[IO[bytes], str]:
        """Convert the model at `path` to another format. Returns a file that is deleted when closed, and its SHA-256.

        Equal models give equal bytes, so that a download can continue in a file that is converted again.

        Raises:
            NotFound, DataLoss: the model cannot be loaded.
            NotAllowed: it is too large for the format.
            Exhausted: the disk has no space for the file.
        """
        model = self.load(path)
        with _file_errors(), ExitStack() as opened:
            file = opened.enter_context(tempfile.TemporaryFile(dir=path.parent))
            export_model(model, wanted, file)
            file.seek(0)
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            opened.pop_all()
        return file, sha256


@contextmanager
def _file_errors() -> Iterator[None]:
    """Translate errors of model files to errors of the service."""
    try:
        with disk_may_be_full():
            yield
    except ModelError as error:
        message = "the stored weights are damaged, or an old version stored them without their network"
        raise DataLoss(message, reason="MODEL_UNREADABLE") from error
    except ModelTooLargeError as error:
        raise NotAllowed(str(error), reason="MODEL_TOO_LARGE") from error
    except FileNotFoundError as error:
        raise NotFound("the weights were removed during the call", reason="CHECKPOINT_NOT_FOUND") from error
