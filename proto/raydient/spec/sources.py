"""The files of a data set: one `uri`, or a list of several, whose rows follow each other."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, Field, WithJsonSchema

from .columns import distinct
from .document import Location
from .remote import file_url, is_remote

UPLOADED = re.compile(r"datasets/([0-9a-f]{64})")
"""Names of uploaded files; the group is their id, the SHA-256 of the content."""
MAXIMUM_URIS = 1024
FURTHER = "further_uris"
"""Name of the field that has all files of a list but the first, in messages and in the canonical form."""

_ONE: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": 4096}
_LIST = {"type": "array", "items": _ONE, "minItems": 1, "maxItems": MAXIMUM_URIS}


def _in_normal_form(uri: str) -> str:
    return file_url(uri) if is_remote(uri) else uri


AnyUri = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_in_normal_form)]
Uri = Annotated[AnyUri, WithJsonSchema({"anyOf": [_ONE, _LIST], "title": "Uri"})]
"""The file, or the first of a list. A job file has the list here, see `spread`."""
FurtherUris = Annotated[tuple[AnyUri, ...], Field(max_length=MAXIMUM_URIS - 1, strict=False)]


def spread(data: object) -> object:
    """Return the settings of a data set with a list of files in two fields: the first, and all further ones."""
    if isinstance(data, Mapping) and isinstance(uris := data.get("uri"), list | tuple) and uris:
        return {**data, "uri": uris[0], FURTHER: [*uris[1:], *data.get(FURTHER, ())]}
    return data


def are_distinct(first: str | None, further: tuple[str, ...]) -> tuple[str, ...]:
    """Return the further files of a list. Raises ValueError if there is none before them, or one occurs twice."""
    if further and first is None:
        raise ValueError("needs `uri`, the first file")
    distinct((*filter(None, [first]), *further))
    return further


def uris_of(field: str, first: str, further: tuple[str, ...]) -> dict[str, str]:
    """Return each file by the path of its setting: `field` if there is one, else `field[0]` and so on."""
    if not further:
        return {field: first}
    return {f"{field}[{place}]": uri for place, uri in enumerate((first, *further))}


def by_fields(uris: Sequence[str]) -> dict[str, Any]:
    """Inverse of `uris_of`: the fields of a data set with these files, at least one."""
    return {"uri": uris[0], FURTHER: tuple(uris[1:])}


def as_written(location: Location, data: Any) -> Location:
    """Return the location of a finding in a job as the user wrote it: `uri[1]` for the second file of a list."""
    above, rest = location[:1], location[1:]
    if rest[:1] == ("validation",):
        above, rest = location[:2], location[2:]
    for key in above:
        data = data.get(key) if isinstance(data, Mapping) else None
    uris = data.get("uri") if isinstance(data, Mapping) else None
    if location[:1] != ("dataset",) or not (uris and isinstance(uris, list | tuple)):
        return location
    if rest == ("uri",):
        return (*location, 0)
    if rest[:1] != (FURTHER,):
        return location
    return (*above, "uri", *(place + 1 for place in rest[1:] if isinstance(place, int)))
