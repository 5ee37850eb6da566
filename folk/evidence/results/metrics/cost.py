"""Which numbers of what a method costs belong to one machine and one moment."""

# Memory differs between libraries and devices, time with all that runs beside it. They are evidence
# of the machine in the record, and no published number may be called reproduced by them.
OF_ONE_MACHINE = frozenset(
    {
        "hours_total",
        "images_per_second",
        "peak_memory_mib",
        "seconds_per_epoch",
        "seconds_per_update",
    }
)
