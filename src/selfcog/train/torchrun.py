"""torchrun without its own report: the ranks say what went wrong, this only keeps exit codes.

python -m selfcog.train.torchrun --nproc_per_node=2 … -m selfcog sft …
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    """Run the ranks. Returns 0, the exit code of the rank that failed first, or 128 + a signal."""
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    logging.disable(logging.CRITICAL)
    try:
        run.main(list(arguments))
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        code = 128 - failure.exitcode if failure.exitcode < 0 else failure.exitcode
        # Rank 0 prints its errors itself; of others nobody else would speak.
        if rank != 0 or failure.exitcode < 0:
            print(f"selfcog: error: rank {rank} ended with exit code {code}", file=sys.stderr)
        return code
    except SignalException as error:
        return 128 + int(error.sigval)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
