"""The report of a run: one HTML file that needs nothing else."""

from __future__ import annotations

from astrogalaxy.survey.report.write import write_report

__all__ = ["write_report"]
