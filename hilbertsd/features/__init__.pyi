from .alignment import centred_kernel as centred_kernel
from .alignment import kernel_distance as kernel_distance
from .alignment import target_alignment as target_alignment
from .basis_weights import BinnedWeights as BinnedWeights
from .basis_weights import EigenBins as EigenBins
from .basis_weights import weights_distance as weights_distance
from .uses import TrainedUses as TrainedUses
from .uses import train_uses as train_uses
