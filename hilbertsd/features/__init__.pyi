from .alignment import centred_kernel as centred_kernel
from .alignment import kernel_distance as kernel_distance
from .alignment import target_alignment as target_alignment
from .uses import TrainedUses as TrainedUses
from .uses import train_uses as train_uses
