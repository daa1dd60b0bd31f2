"""``python -m selfcog`` is the same as ``selfcog``; torchrun starts its ranks this way."""

import sys

from selfcog.cli import main

if __name__ == "__main__":
    sys.exit(main())
