"""Frames in, figures out: interactive, colour-blind safe, with titles that say what is seen."""

from workbench.figures.attentions import attention
from workbench.figures.dose import dose_response
from workbench.figures.forests import forest, forest_note
from workbench.figures.heatmaps import heatmap
from workbench.figures.lines import lines
from workbench.figures.maps import outcome_map
from workbench.figures.matrices import matrices
from workbench.figures.pages import save
from workbench.figures.strips import tokens
from workbench.figures.trajectories import trajectory

__all__ = [
    "attention",
    "dose_response",
    "forest",
    "forest_note",
    "heatmap",
    "lines",
    "matrices",
    "outcome_map",
    "save",
    "tokens",
    "trajectory",
]
