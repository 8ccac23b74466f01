from . import theme as theme
from .attentions import attention as attention
from .forests import forest as forest, forest_note as forest_note
from .heatmaps import heatmap as heatmap
from .matrices import matrices as matrices
from .outcome_maps import outcome_map as outcome_map
from .pages import save as save
from .part_maps import attribution as attribution, lens as lens, patching as patching
from .rates_by_dose import dose_response as dose_response
from .series import lines as lines
from .strips import tokens as tokens
from .trajectories import trajectory as trajectory
