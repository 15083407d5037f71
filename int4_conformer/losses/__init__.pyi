from .ctc import ctc_loss as ctc_loss
from .distillation import collapsed_lattice as collapsed_lattice
from .distillation import joint_distillation_loss as joint_distillation_loss
from .joint_rnnt import joint_rnnt_loss as joint_rnnt_loss
from .loss_config import LossConfig as LossConfig
from .rnnt import rnnt_loss as rnnt_loss
