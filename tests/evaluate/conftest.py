"""Makes labelled_set importable here; it is also the script that writes the tables of the docs."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
