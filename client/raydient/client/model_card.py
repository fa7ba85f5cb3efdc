"""A report as a model card in Markdown."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from raydient.spec.printable import printable

from .report_words import (
    column_rows,
    data_rows,
    layer_rows,
    origin_rows,
    rows_text,
    settings_text,
    shown_metrics,
    value_text,
)

MOST_COLUMNS = 50
"""Maximum number of columns and of classes that a card lists."""
INTENDED_USE = """<!-- To be written by the author. -->

_What the model is meant for, what it must not be used for, and where the data that it meets may be unlike those that it
was trained on._
"""


def card(content: Mapping[str, Any]) -> str:
    """The model card; the section about the intended use is left to the author."""
    parts = [f"# {_text(content['title'])}", _summary(content), f"## Intended use\n\n{INTENDED_USE}"]
    parts += [_section("Metrics", _metrics(content)), _section("Evaluation", _evaluation(content))]
    if "inputs" in content:
        head, *rows = column_rows(content["inputs"])
        parts.append(_section("Inputs", _table(head, rows[:MOST_COLUMNS]) + _rest(len(rows), "columns")))
        outputs = [
            [
                one["label"] or one["name"],
                one["loss"],
                ", ".join(one["classes"][:MOST_COLUMNS]) + (", ..." if len(one["classes"]) > MOST_COLUMNS else "")
                or "numbers",
            ]
            for one in content["outputs"]
        ]
        parts.append(_section("Outputs", _table(["label", "loss", "values"], outputs)))
        head, *rows = layer_rows(content["layers"])
        parts.append(_section("Network", _table(head, rows)))
    pairs = [*data_rows(content), *origin_rows(content)]
    parts.append(_section("Training", _table(["what", "value"], pairs)))
    if settings := settings_text(content):
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", settings)), default=0))
        parts.append(f"Specification, without settings that have their defaults:\n\n{fence}yaml\n{settings}{fence}\n")
    return "\n".join(part if part.endswith("\n") else f"{part}\n" for part in parts if part)


def _section(title: str, text: str) -> str:
    return f"## {title}\n\n{text}" if text else ""


def _summary(content: Mapping[str, Any]) -> str:
    if "layers" not in content:
        return ""
    learned = sum(layer["parameters"] for layer in content["layers"])
    labels = ", ".join(one["label"] or one["name"] for one in content["outputs"])
    names = [column for one in content["inputs"] for column in one["columns"]]
    what = f"{len(names)} columns" if len(names) != 1 else names[0]
    return (
        f"A network of {learned:,} parameters that predicts {_text(labels)} from {_text(what)}, trained by raydient.\n"
    )


def _metrics(content: Mapping[str, Any]) -> str:
    metrics = content.get("metrics", {})
    parts = {"train": "training", "test": "held out"}
    named = {part: shown_metrics(metrics.get(part, {})) for part in parts if metrics.get(part)}
    if not named:
        return ""
    names = list(dict.fromkeys(name for values in named.values() for name in values))
    rows = [
        [name, *(value_text(name, values[name]) if name in values else "" for values in named.values())]
        for name in names
    ]
    return _table(["metric", *(parts[part] for part in named)], rows)


def _evaluation(content: Mapping[str, Any]) -> str:
    evaluation = content.get("evaluation")
    if evaluation is None:
        return ""
    text = f"{_text(rows_text(evaluation, evaluation['data'] or 'the data'))}.\n\n"
    text += _table(
        ["metric", "value"],
        [[name, value_text(name, value)] for name, value in shown_metrics(evaluation["metrics"]).items()],
    )
    for output in evaluation["outputs"]:
        for one in [output["confusion"]] if "confusion" in output else []:
            rows = [
                [c["name"], f"{c['rows']:,}", *(f"{c[key]:.4f}" for key in ("precision", "recall", "f1"))]
                for c in one["by_class"][:MOST_COLUMNS]
            ]
            text += "\n" + _table(["class", "rows", "precision", "recall", "F1"], rows)
            text += _rest(len(one["by_class"]), "classes")
    return text


def _rest(count: int, what: str) -> str:
    return f"\nThe first {MOST_COLUMNS} of {count:,} {what}.\n" if count > MOST_COLUMNS else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(map(_cell, line))} |\n" for line in lines) if len(lines) > 2 else ""


def _cell(text: str) -> str:
    return text if text == "---" else _text(text)


def _text(text: object) -> str:
    """Escape the characters that have a meaning in Markdown or HTML."""
    return re.sub(r"([\\`*_\[\]<>|#~$&])", r"\\\1", printable(str(text)))
