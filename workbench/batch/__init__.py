"""Batches: a matrix of notebooks, models and parameters, executed with papermill, resumed where it stopped."""

from workbench.batch.journal import Journal, Record
from workbench.batch.keys import content_key
from workbench.batch.plans import BatchPlan, Cell, read_plan, shipped
from workbench.batch.progress import Bars, Lines
from workbench.batch.running import Agenda, agenda, check_place, run, summary

__all__ = [
    "Agenda",
    "Bars",
    "BatchPlan",
    "Cell",
    "Journal",
    "Lines",
    "Record",
    "agenda",
    "check_place",
    "content_key",
    "read_plan",
    "run",
    "shipped",
    "summary",
]
