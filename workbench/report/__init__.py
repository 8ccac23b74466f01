"""The report: a static site of the ledger, the executed notebooks, the models and the environment."""

from workbench.report.site import build

__all__ = ["build"]
