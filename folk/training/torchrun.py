"""torchrun whose end is one line: `python -m folk.training.torchrun OPTIONS -m folk STAGE ...`."""

import logging
import signal
import sys

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main

REFUSED = 2  # the process has printed its line


def run() -> None:
    """Run torchrun; end with the status of the process that failed first."""
    # Its warnings and tables repeat what the processes print themselves.
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    try:
        main()
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode < 0:
            ended_by = signal.Signals(-failure.exitcode).name
            print(f"error: process {rank} was ended by {ended_by}", file=sys.stderr)
        sys.exit(failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode)


if __name__ == "__main__":
    run()
