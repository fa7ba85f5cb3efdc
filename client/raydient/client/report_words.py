"""The texts of a report that its page and its model card share."""

from collections.abc import Mapping, Sequence
from typing import Any

from .cli.display import value_text, without_repetition

__all__ = [
    "column_rows",
    "data_rows",
    "layer_rows",
    "number",
    "origin_rows",
    "rows_text",
    "settings_text",
    "shown_metrics",
    "value_text",
]

Content = Mapping[str, Any]
SHOWN_CATEGORIES = 20
SETTING_NAMES = {
    "dataset.uri": "SHA-256 of the data",
    "dataset.validation.uri": "SHA-256 of the held-out data",
}
NUMERICS = ("numpy", "blas", "c_library", "machine", "reduction", "probe")
"""The entries of a numerics fingerprint that are shown."""


def shown_metrics(values: Mapping[str, float]) -> dict[str, float]:
    """The metrics of a part, the loss first."""
    shown = without_repetition(values)
    return {name: shown[name] for name in sorted(shown, key=lambda name: name != "loss")}


def number(value: Any) -> str:
    """Format a value of any type; a missing one is empty."""
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def rows_text(evaluation: Content, data: str) -> str:
    """The rows of an evaluation on `data`, the name of its file or of the data."""
    rows = f"{evaluation['rows']:,} row{'' if evaluation['rows'] == 1 else 's'}"
    return f"{rows} held out of {data}" if evaluation["held_out"] else f"{rows}, all of {data}"


def column_rows(inputs: Sequence[Content]) -> list[list[str]]:
    """A header, and a row for each column or array that the network takes."""
    several = len(inputs) > 1
    rows = [[*(["input"] if several else []), "column", "values", "preparation"]]
    for one in inputs:
        names = one["columns"] if one["is_table"] else [" ".join([*one["columns"], _shape(one["shape"])])]
        for place, name in enumerate(names):
            is_date = str(place) in one["preparation"].get("date", {})
            values = _categories(one["categories"]) if one["categories"] else "date" if is_date else one["kind"]
            if name in one["optional"]:
                values += ", may be missing"
            places = [str(place)] if one["is_table"] else sorted({p for of in one["preparation"].values() for p in of})
            texts = {f"{key}: {of[p]}" for key, of in one["preparation"].items() for p in places if p in of}
            rows.append([*([one["name"]] if several else []), name, values, ", ".join(sorted(texts))])
    return rows


def layer_rows(layers: Sequence[Content]) -> list[list[str]]:
    """A header, and a row for each layer, then the total."""
    rows = [["layer", "kind", "inputs", "output", "parameters"]]
    for one in layers:
        kind = f"{one['kind']} of {one['shares']}" if one["shares"] else one["kind"]
        kind += ", frozen" if one["frozen"] else ""
        rows.append(
            [one["name"], kind, ", ".join(one["inputs"]), _shape(one["output_shape"]), f"{one['parameters']:,}"]
        )
    rows.append(["total", "", "", "", f"{sum(one['parameters'] for one in layers):,}"])
    return rows


def data_rows(content: Content) -> list[tuple[str, str]]:
    """The digests of weights and data."""
    training = content.get("training", {})
    pairs = [("SHA-256 of the weights", content.get("digest", ""))]
    pairs += [(SETTING_NAMES.get(key, key), value) for key, value in training.get("data", {}).items()]
    pairs.append(("dataset", training.get("dataset", "")))
    return [(name, value) for name, value in pairs if value]


def origin_rows(content: Content) -> list[tuple[str, str]]:
    """Times, versions and numerics of the training."""
    training = content.get("training", {})
    pairs = [(word, training.get(word, "")) for word in ("created", "started", "ended")]
    pairs.append(("raydient", training.get("version", "")))
    numerics = training.get("numerics", {})
    pairs += [(key.replace("_", " "), numerics.get(key, "")) for key in NUMERICS]
    return [(name, value) for name, value in pairs if value]


def settings_text(content: Content) -> str:
    """The specification as a job file without settings that have their defaults; empty if it is not known."""
    import yaml

    from raydient.spec.errors import InvalidSpec
    from raydient.spec.validation import validate_job

    specification = content.get("training", {}).get("specification")
    if not specification:
        return ""
    try:
        spec = validate_job(specification)
        shown = _short(spec.model_dump(mode="json", exclude_none=True, exclude_defaults=True, by_alias=True), spec)
    except InvalidSpec:  # of another version
        shown = specification
    return yaml.safe_dump(shown, sort_keys=False, allow_unicode=True, width=100)


def _short(data: Any, source: Any) -> Any:
    """Write `relu` for `{relu: {}}` and `3` for `{min: 3, max: 3}` in `data`, the JSON form of `source`."""
    from raydient.spec.base import Model, OneOf
    from raydient.spec.job import WorkerRange

    if isinstance(source, WorkerRange) and source.min == source.max:
        return source.max
    if isinstance(source, OneOf) and data == {source.kind: {}}:
        return source.kind
    if isinstance(data, list):
        return [_short(one, of) for one, of in zip(data, source, strict=True)]
    if not isinstance(data, dict):
        return data
    if isinstance(source, Model):
        source = {field.alias or name: getattr(source, name) for name, field in type(source).model_fields.items()}
    return {key: _short(value, source[key]) for key, value in data.items()}


def _categories(categories: Sequence[str]) -> str:
    shown = ", ".join(categories[:SHOWN_CATEGORIES]) + (", ..." if len(categories) > SHOWN_CATEGORIES else "")
    return f"{len(categories)} categories: {shown}"


def _shape(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
