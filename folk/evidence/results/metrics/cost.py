"""Metrics of the stage `cost` that depend on the machine."""

# Memory differs between libraries and devices, time with the machine's load. They describe the
# machine in the record, and are never compared with a published number.
OF_ONE_MACHINE = frozenset(
    {
        "hours_total",
        "images_per_second",
        "peak_memory_mib",
        "seconds_per_epoch",
        "seconds_per_update",
    }
)
