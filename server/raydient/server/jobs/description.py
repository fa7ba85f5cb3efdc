"""The file `job.json` of a job's folder: the job's record at its creation, from which a lost database is rebuilt."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from raydient.files import sync_folder
from raydient.spec.errors import InvalidSpec
from raydient.spec.job import JobSpec
from raydient.spec.validation import validate_job

from .records import Job

DESCRIPTION_FILE = "job.json"
FORMAT = "raydient-job/1"
_PARTIAL = ".job.json.partial"


class UnreadableDescription(Exception):  # noqa: N818  (named after the condition)
    """The file is absent, damaged, or of another version; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Description:
    """An accepted job.

    Attributes:
        job: the job's record at its creation.
        file_names: the original names of the uploaded files that the job reads, by `datasets/{id}`.
    """

    job: Job
    file_names: Mapping[str, str] = field(default_factory=dict)


def write_description(folder: Path, description: Description) -> None:
    """Write the description of a job and create its folder; durable on return. Raises OSError."""
    folder.mkdir(mode=0o700, exist_ok=True)
    _write(folder, description, sync=True)
    os.replace(folder / _PARTIAL, folder / DESCRIPTION_FILE)
    sync_folder(folder)
    sync_folder(folder.parent)


def write_descriptions(descriptions: Iterable[tuple[Path, Description]]) -> int:
    """Write the descriptions of many jobs into existing folders, with one flush; returns their number."""
    folders = []
    for folder, description in descriptions:
        _write(folder, description, sync=False)
        folders.append(folder)
    if folders:
        os.sync()  # before the renames, so that a file with the final name is complete
    for folder in folders:
        os.replace(folder / _PARTIAL, folder / DESCRIPTION_FILE)
    return len(folders)


def read_description(folder: Path) -> Description:
    """Inverse of `write_description`. Raises UnreadableDescription."""
    try:
        data = json.loads((folder / DESCRIPTION_FILE).read_bytes())
        if data["format"] != FORMAT:
            raise UnreadableDescription(f"its {DESCRIPTION_FILE} has the format {data['format']!r}, not {FORMAT}")
        content = data["job"]
        if data["sha256"] != _checksum(content):
            raise UnreadableDescription(f"its {DESCRIPTION_FILE} is damaged: its checksum differs")
        if content["id"] != folder.name:
            raise UnreadableDescription(f"its {DESCRIPTION_FILE} is that of jobs/{content['id']}")
        spec = validate_job(content["specification"])
        created = datetime.fromisoformat(content["created"])
        job = Job(folder.name, spec, created, content["request"], content["fingerprint"])
        return Description(job, _file_names(content, spec))
    except FileNotFoundError as error:
        raise UnreadableDescription(f"it has no {DESCRIPTION_FILE}") from error
    except OSError as error:
        raise UnreadableDescription(f"its {DESCRIPTION_FILE} cannot be read: {error.strerror}") from error
    except InvalidSpec as error:
        raise UnreadableDescription(f"this version does not accept its specification: {error.errors[0]}") from error
    except (ValueError, KeyError, TypeError) as error:
        cause = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UnreadableDescription(f"its {DESCRIPTION_FILE} is damaged: {cause}") from error


def _file_names(content: Mapping[str, Any], spec: JobSpec) -> dict[str, str]:
    """The names in a description; earlier versions have that of the first file alone."""
    if (names := content.get("file_names")) is not None:
        return dict(names)
    return {spec.dataset.uri: content["file_name"]} if content["file_name"] else {}


def _write(folder: Path, description: Description, *, sync: bool) -> None:
    job = description.job
    content = {
        "id": job.id,
        "created": job.created.isoformat(),
        "request": job.request,
        "fingerprint": job.fingerprint,
        "file_names": dict(description.file_names),
        "specification": job.spec.canonical(),
    }
    data = {"format": FORMAT, "sha256": _checksum(content), "job": content}
    with open(folder / _PARTIAL, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        json.dump(data, file, indent=1)
        file.flush()
        if sync:
            os.fsync(file.fileno())


def _checksum(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
