"""Units that panels may name; Grafana knows more (`valueFormats/categories.ts` in its source)."""

UNITS = frozenset(
    (
        *("none", "short", "sci", "percent", "percentunit", "locale", "string", "bool"),
        *("bytes", "decbytes", "bits", "decbits", "Bps", "binBps", "bps"),
        *("ns", "µs", "ms", "s", "m", "h", "d", "dtdurations", "dateTimeAsIso", "dateTimeFromNow"),
        *("cps", "ops", "reqps", "rps", "wps", "iops", "cpm", "opm", "rpm", "wpm"),
        *("hertz", "celsius", "watt", "flops"),
    )
)
