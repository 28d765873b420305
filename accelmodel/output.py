"""One JSON document on standard output, and nothing else there."""

from __future__ import annotations

import json
import sys
from typing import Any


def emit(data: dict[str, Any]) -> None:
    """Print one JSON document."""
    sys.stdout.write(json.dumps(data, indent=2, allow_nan=False) + "\n")
