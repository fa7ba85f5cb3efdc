"""Values as a reader sees them, by Grafana's units."""

import math

_TIMES = ((604800.0, "week"), (86400.0, "day"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))
_PREFIXES = {"bytes": (1024.0, ("B", "KiB", "MiB", "GiB", "TiB")), "Bps": (1000.0, ("B/s", "kB/s", "MB/s", "GB/s"))}
_SUFFIXES = {"reqps": " req/s", "cps": " c/s"}


def scale(value: float, unit: str) -> float:
    """The power of the unit's base in which a value is told: 1048576 for some MiB, 0.001 for some ms."""
    if unit == "s":
        return next((size for size, _ in _TIMES if abs(value) >= size), _TIMES[-1][0] if value else 1.0)
    if unit in _PREFIXES and abs(value) >= 1:
        base, names = _PREFIXES[unit]
        return base ** min(int(math.log(abs(value), base)), len(names) - 1)
    return 1.0


def text(value: float, unit: str, decimals: int | None = None) -> str:
    """A value with its unit, to `decimals` digits or about three figures."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "∞" if value > 0 else "-∞"
    if unit == "percentunit":
        return f"{_figures(100 * value, decimals)} %"
    if unit == "sci":
        return f"{value:.{1 if decimals is None else decimals}e}".replace("e-0", "e-").replace("e+0", "e+")
    if unit == "s":
        size = scale(value, unit)
        return f"{_figures(value / size, decimals)} {dict(_TIMES)[size]}"
    if unit in _PREFIXES:
        base, names = _PREFIXES[unit]
        size = scale(value, unit)
        return f"{_figures(value / size, decimals)} {names[round(math.log(size, base))]}"
    return _short(value, decimals, unit == "none") + _SUFFIXES.get(unit, "")


def _short(value: float, decimals: int | None, plain: bool) -> str:
    if not plain and abs(value) >= 1000:
        power = min(int(math.log10(abs(value)) / 3), 3)
        return f"{_figures(value / 1000**power, decimals)} {['', 'K', 'Mil', 'Bil'][power]}"
    return _figures(value, decimals)


def _figures(value: float, decimals: int | None) -> str:
    """Without a tail of zeros; large numbers whole, small ones to three figures."""
    if decimals is not None:
        return f"{value:.{decimals}f}"
    if value == 0 or abs(value) >= 1000:
        return f"{value:.0f}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{digits}f}".rstrip("0").rstrip(".") if digits else f"{value:.0f}"
