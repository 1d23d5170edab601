"""What a measurement of speed was made on: machine, versions, commit."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from astrogalaxy.devices import usable_cores
from contest.programs import sextractor, sextractor_version, swarp, swarp_version

__all__ = ["circumstances", "table"]

_PACKAGES = ("astrogalaxy", "numpy", "scipy", "astropy", "onnxruntime", "sep", "photutils", "distributed")


def circumstances() -> dict[str, object]:
    """Machine, versions, commit and date."""
    here = Path(__file__).resolve().parent
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=here, capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit or "unknown",
        "command": _command(),
        "machine": {"processor": _processor(), "cores": usable_cores(), "memory_gb": round(_memory() / 2**30)},
        "versions": {
            "python": platform.python_version(), **{name: version(name) for name in _PACKAGES},
            "SExtractor": sextractor_version() if sextractor() else None,
            "SWarp": swarp_version() if swarp() else None,
        },
    }  # fmt: skip


def _command() -> str:
    """What was called, without where the data lie."""
    words = ["python", "tests/benchmarks", *sys.argv[1:]]
    return " ".join("DATA" if before == "--data" else word for before, word in zip(["", *words], words, strict=False))


def _processor() -> str:
    """Model, with its family where the name alone says little."""
    try:
        lines = dict(
            (part.strip() for part in line.split(":", 1))
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if ":" in line
        )
    except OSError:
        return platform.processor() or platform.machine()
    return f"{lines.get('model name', platform.machine())}, family {lines.get('cpu family', '?')}"


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def table(rows: list[dict[str, object]]) -> str:
    """Rows of one benchmark as plain text, columns as wide as they need."""
    heads = list(dict.fromkeys(head for row in rows for head in row))
    cells = [[_cell(row.get(head)) for head in heads] for row in rows]
    widths = [max(len(line[i]) for line in (heads, *cells)) for i in range(len(heads))]
    return "\n".join("  ".join(text.rjust(w) for text, w in zip(line, widths, strict=True)) for line in (heads, *cells))


def _cell(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else "" if value is None else str(value)
