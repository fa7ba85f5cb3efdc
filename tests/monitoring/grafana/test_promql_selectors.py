"""Selectors that the rules read from PromQL, and variables in it."""

from datetime import timedelta

import pytest

from deploy.grafana.lint.queries import Selector, expanded, selectors


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("up", [Selector("up", {}, None, "")]),
        ('up{job="a", b!~"x|y"}', [Selector("up", {"job": ("=", "a"), "b": ("!~", "x|y")}, None, "")]),
        ("rate(a_total[5m])", [Selector("a_total", {}, timedelta(minutes=5), "rate")]),
        ("sum(rate(a_total[5m]))", [Selector("a_total", {}, timedelta(minutes=5), "rate")]),
        ("sum by (b, c) (a)", [Selector("a", {}, None, "")]),
        ("(a)", [Selector("a", {}, None, "")]),
        ("-a", [Selector("a", {}, None, "")]),
        ("a / on (j) group_left (k) b", [Selector("a", {}, None, ""), Selector("b", {}, None, "")]),
        ("a and b or c unless d", [Selector(name, {}, None, "") for name in "abcd"]),
        ("a > bool 1e-12 * 0.5 + 3", [Selector("a", {}, None, "")]),
        ('label_join(a, "place", " ", "b")', [Selector("a", {}, None, "label_join")]),
        ('{__name__="a"}', [Selector("", {"__name__": ("=", "a")}, None, "")]),
        ('a{b="} rate(c[5m]) {"}', [Selector("a", {"b": ("=", "} rate(c[5m]) {")}, None, "")]),
        ("time() - a", [Selector("a", {}, None, "")]),
        ("max_over_time(a[1h:5m])", [Selector("a", {}, timedelta(hours=1), "max_over_time")]),
        (
            "histogram_quantile(0.5, sum by (le) (rate(a[97s])))",
            [Selector("a", {}, timedelta(seconds=97), "rate")],
        ),
    ],
)
def test_selectors_of_an_expression(expression, expected):
    assert selectors(expression) == expected


@pytest.mark.parametrize("expression", ["sum(up", "up{", "rate(up)"])
def test_an_expression_that_is_not_promql_is_refused(expression):
    with pytest.raises(ValueError, match=r"\w"):
        selectors(expression)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("rate(a[$__rate_interval])", "rate(a[97s])"),
        ('a{job=~"$job"}', 'a{job=~"x|y"}'),
        ("${job} ${job:text} $jobs ${other}", "x|y x|y $jobs ${other}"),
    ],
)
def test_variables_get_values(expression, expected):
    assert expanded(expression, {"job": "x|y"}) == expected
