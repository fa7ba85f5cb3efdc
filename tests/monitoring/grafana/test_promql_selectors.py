"""The little PromQL that the rules read."""

import pytest

from deploy.grafana.lint.promql import Selector, expanded, selectors


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("up", [Selector("up", {}, "", "")]),
        ('up{job="a", b!~"x|y"}', [Selector("up", {"job": ("=", "a"), "b": ("!~", "x|y")}, "", "")]),
        ("rate(a_total[5m])", [Selector("a_total", {}, "5m", "rate")]),
        ("sum(rate(a_total[5m]))", [Selector("a_total", {}, "5m", "rate")]),
        ("sum by (b, c) (a)", [Selector("a", {}, "", "")]),
        ("sum(a) by (b)", [Selector("a", {}, "", "sum")]),
        ("sum without (b) (a)", [Selector("a", {}, "", "")]),
        ("(a)", [Selector("a", {}, "", "")]),
        ("a / on (j) group_left (k) b", [Selector("a", {}, "", ""), Selector("b", {}, "", "")]),
        ("a and b or c unless d", [Selector(name, {}, "", "") for name in "abcd"]),
        ("a > bool 1e-12 * 0.5 + 3", [Selector("a", {}, "", "")]),
        ('label_join(a, "place", " ", "b")', [Selector("a", {}, "", "label_join")]),
        ('{__name__="a"}', [Selector("", {"__name__": ("=", "a")}, "", "")]),
        ('a{b="} rate(c[5m]) {"}', [Selector("a", {"b": ("=", "} rate(c[5m]) {")}, "", "")]),
        ("time() - a", [Selector("a", {}, "", "")]),
        ("job:a:rate1m[1h:5m]", [Selector("job:a:rate1m", {}, "1h:5m", "")]),
        ("histogram_quantile(0.5, sum by (le) (rate(a[$__x])))", [Selector("a", {}, "$__x", "rate")]),
    ],
)
def test_selectors_of_an_expression(expression, found):
    assert list(selectors(expression)) == found


@pytest.mark.parametrize(
    ("expression", "meaning"),
    [
        ("rate(a[$__rate_interval])", "rate(a[5m])"),
        ('a{job=~"$job"}', 'a{job=~"x|y"}'),
        ("${job} ${job:text} $jobs ${other}", "x|y x|y $jobs ${other}"),
    ],
)
def test_variables_get_values(expression, meaning):
    assert expanded(expression, {"job": "x|y"}) == meaning
