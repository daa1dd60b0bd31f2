"""Makes tiny_training importable here; it is also a script that the tests run as a process."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
