"""What every test needs: the chapters' modules importable, and one BLAS thread."""

import os
import sys
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy is imported
sys.path.insert(0, str(Path(__file__).parents[1] / "chapters"))
