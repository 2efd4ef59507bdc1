"""The program `orbitbot-backup` lies in its role, as it is installed on hosts."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "roles/backup/files"))
