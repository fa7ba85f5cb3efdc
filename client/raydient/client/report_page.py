"""A report as one HTML page, without scripts and without anything outside it."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from math import isfinite
from typing import Any

from raydient.spec.printable import printable

from . import report_figures
from .report_words import (
    column_rows,
    data_rows,
    layer_rows,
    number,
    origin_rows,
    rows_text,
    settings_text,
    shown_metrics,
    value_text,
)

MOST_CLASSES = 30
"""With more classes than this, a page has no confusion matrix."""
MOST_ROWS = 200
"""Maximum number of rows of a table about classes or columns."""
POLICY = "default-src 'none'; style-src 'unsafe-inline'"

Content = Mapping[str, Any]


def page(content: Content) -> str:
    """The page. Raises MissingExtra if matplotlib is not installed."""
    title = _text(content["title"])
    style = files("raydient.client").joinpath("report.css").read_text(encoding="utf-8")
    sections = [
        ("Result", _result(content)),
        ("Curves", _curves(content)),
        ("Evaluation", _evaluation(content)),
        ("Gradient health", _gradient_health(content)),
        ("Data", _data(content)),
        ("Network", _network(content)),
        ("How it was trained", _origin(content)),
    ]
    body = "\n".join(f"<section><h2>{name}</h2>\n{html}</section>" for name, html in sections if html)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}: report</title>\n<style>\n{style}</style>\n</head>\n"
        f"<body>\n<main>\n{_header(content)}\n{body}\n</main>\n</body>\n</html>\n"
    )


def _text(value: object) -> str:
    return escape(printable(str(value)))


def _header(content: Content) -> str:
    facts = [_text(content["name"])] if content["name"] != content["title"] else []
    if content.get("state"):
        facts.append(f"<strong>{_text(content['state'])}</strong>")
    if content.get("digest"):
        facts.append(f"digest <code>{_text(content['digest'][:12])}</code>")
    why = f'<p class="why">{_text(content["why"])}</p>' if content.get("why") else ""
    return f'<header><h1>{_text(content["title"])}</h1><p class="facts">{" · ".join(facts)}</p>{why}</header>'


def _result(content: Content) -> str:
    metrics = content.get("metrics", {})
    tiles = []
    for part, title in (("test", "held out"), ("train", "training")):
        for name, value in shown_metrics(metrics.get(part, {})).items():
            tiles.append(
                f'<li class="{part}"><span class="value">{_text(value_text(name, value))}</span>'
                f'<span class="name">{_text(name)}</span><span class="part">{title}</span></li>'
            )
    if not tiles:
        return ""
    epoch = f"<p>Metrics of epoch {_text(content['epoch'])}.</p>" if content.get("epoch") else ""
    return f'<ul class="tiles">{"".join(tiles)}</ul>{epoch}'


def _curves(content: Content) -> str:
    by_name: dict[str, list[Content]] = {}
    for curve in content.get("curves", ()):
        by_name.setdefault(curve["name"], []).append(curve)
    figures = [
        f"<figure><figcaption>{_text(name)}</figcaption>{report_figures.curves(name, parts)}</figure>"
        for name, parts in by_name.items()
    ]
    if not figures:
        return ""
    legend = '<p class="legend"><span class="train">training</span> <span class="test">held out</span></p>'
    return f'{legend}<div class="figures">{"".join(figures)}</div>'


def _evaluation(content: Content) -> str:
    evaluation = content.get("evaluation")
    if evaluation is None:
        return ""
    where = f"<code>{_text(evaluation['data'])}</code>" if evaluation["data"] else "the data"
    values = " · ".join(
        f"{_text(name)} <strong>{_text(value_text(name, value))}</strong>"
        for name, value in shown_metrics(evaluation["metrics"]).items()
    )
    html = f"<p>{rows_text(evaluation, where)}: {values}</p>"
    several = len(evaluation["outputs"]) > 1
    for output in evaluation["outputs"]:
        name = output["label"] or output["name"]
        html += f"<h3>{_text(name)}</h3>" if several else ""
        html += _confusion(output["confusion"]) if "confusion" in output else ""
        html += _residuals(output, name) if "residuals" in output else ""
        html += _worst(output["worst"])
    return html


def _confusion(confusion: Content) -> str:
    html = ""
    classes, counts = confusion["classes"], confusion["counts"]
    if len(classes) <= MOST_CLASSES:
        head = "".join(f"<th>{_text(name)}</th>" for name in classes)
        rows = []
        for place, (name, row) in enumerate(zip(classes, counts, strict=True)):
            total = sum(row) or 1
            cells = "".join(
                f'<td class="{"hit" if column == place else "miss"}" style="--share:{count / total:.3f}">'
                f"{count if count else '<span class=zero>0</span>'}</td>"
                for column, count in enumerate(row)
            )
            rows.append(f"<tr><th>{_text(name)}</th>{cells}</tr>")
        html += (
            '<h4>Confusion matrix</h4><p class="note">A row is a label, a column what was predicted.</p>'
            f'<div class="scroll"><table class="confusion"><tr><td></td>{head}</tr>{"".join(rows)}</table></div>'
        )
    results = [
        [one["name"], f"{one['rows']:,}", *(f"{one[key]:.4f}" for key in ("precision", "recall", "f1"))]
        for one in confusion["by_class"][:MOST_ROWS]
    ]
    table = _table(["class", "rows", "precision", "recall", "F1"], results, numbers=range(1, 5))
    return f"{html}<h4>Classes</h4>{table}{_rest(len(confusion['by_class']))}"


def _residuals(output: Content, name: str) -> str:
    residuals, points = output["residuals"], output["points"]
    figures = [
        ("Predictions over labels", report_figures.predictions(name, points)),
        ("Residuals", report_figures.residuals(name, points)),
    ]
    drawn = "".join(f"<figure><figcaption>{what}</figcaption>{svg}</figure>" for what, svg in figures)
    head = ["mean", "deviation", *(f"{share} %" for share in residuals["quantiles"]), "largest", "in row"]
    values = [residuals["mean"], residuals["deviation"], *residuals["quantiles"].values(), residuals["largest"]]
    row = [*(number(value) for value in values), str(residuals["row"])]
    table = _table(head, [row], numbers=range(len(head)))
    return f'<div class="figures">{drawn}</div><h4>Residuals, prediction - label, and their quantiles</h4>{table}'


def _worst(worst: Sequence[Content]) -> str:
    if not worst:
        return ""
    measure = "score" if "score" in worst[0] else "residual"
    columns = list(worst[0]["sample"])
    title = {"score": "output of the label", "residual": "residual"}[measure]
    rows = [
        [str(one["row"]), number(one["label"]), number(one["predicted"]), number(one[measure])]
        + [number(one["sample"][column]) for column in columns]
        for one in worst
    ]
    table = _table(["row", "label", "predicted", title, *columns], rows, numbers=(0, 3))
    return f"<h4>Worst examples</h4>{table}"


def _gradient_health(content: Content) -> str:
    health = content.get("gradient_health")
    if not health or not health["layers"]:
        return ""
    norms = [float(layer.get("gradient_norm") or 0.0) for layer in health["layers"]]
    largest = max([value for value in norms if isfinite(value)], default=0.0) or 1.0
    rows = []
    for layer, norm in zip(health["layers"], norms, strict=True):
        dead = layer.get("dead_units_ratio")
        cells = [
            _text(layer["layer"]),
            f'<span class="bar" style="--share:{min(norm / largest, 1) if isfinite(norm) else 1:.4f}"></span>',
            *(_text(number(layer.get(key))) for key in ("gradient_norm", "update_ratio")),
            "" if dead is None else f"{100 * float(dead):.0f} %",
            _text(number(layer.get("non_finite_values"))),
        ]
        rows.append(cells)
    head = ["layer", "", "gradient norm", "update / weights", "dead units", "not finite"]
    table = _raw_table(list(map(_text, head)), rows, numbers=range(2, 6))
    return f"<p>Measured at step {int(health['step']):,}, on the gradient of the whole batch.</p>{table}"


def _data(content: Content) -> str:
    if "inputs" not in content:
        return ""
    head, *rows = column_rows(content["inputs"])
    inputs = _table(head, rows[:MOST_ROWS]) + _rest(len(rows))
    outputs = [
        [one["label"] or one["name"], one["loss"], ", ".join(one["classes"][:MOST_ROWS]) or "numbers"]
        for one in content["outputs"]
    ]
    return f"<h4>Inputs</h4>{inputs}<h4>Labels</h4>{_table(['label', 'loss', 'values'], outputs)}"


def _rest(count: int) -> str:
    return f'<p class="note">The first {MOST_ROWS} of {count:,}.</p>' if count > MOST_ROWS else ""


def _network(content: Content) -> str:
    if "layers" not in content:
        return ""
    head, *rows = layer_rows(content["layers"])
    return _table(head, rows, numbers=(4,))


def _origin(content: Content) -> str:
    pairs = [*data_rows(content), *origin_rows(content)]
    rows = "".join(f"<tr><th>{_text(name)}</th><td><code>{_text(value)}</code></td></tr>" for name, value in pairs)
    html = f'<table class="facts">{rows}</table>' if rows else ""
    if settings := settings_text(content):
        lines = "\n".join(map(_text, settings.splitlines()))
        html += f'<h4>Specification</h4><p class="note">Other settings have their defaults.</p><pre>{lines}</pre>'
    return html


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Iterable[int] = ()) -> str:
    return _raw_table(list(map(_text, head)), [list(map(_text, row)) for row in rows], numbers)


def _raw_table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Iterable[int] = ()) -> str:
    """A table of HTML; columns with these places are aligned as numbers."""
    right = set(numbers)

    def line(tag: str, cells: Sequence[str]) -> str:
        classes = (' class="number"' if place in right else "" for place in range(len(cells)))
        return "".join(f"<{tag}{of}>{cell}</{tag}>" for of, cell in zip(classes, cells, strict=True))

    body = "".join(f"<tr>{line('td', row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{line("th", head)}</tr></thead><tbody>{body}</tbody></table></div>'
