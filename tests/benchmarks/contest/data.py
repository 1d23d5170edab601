"""Where the real images are that some benchmarks need."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

__all__ = ["add_data"]


def add_data(parser: argparse.ArgumentParser, holds: str) -> None:
    """Give a benchmark the option ``--data``: a folder, by default that of ``ASTROGALAXY_DATA``."""
    folder = Path(os.environ.get("ASTROGALAXY_DATA", "../shared/data"))
    parser.add_argument("--data", type=Path, default=folder, help=f"folder with {holds}; default: ASTROGALAXY_DATA")
