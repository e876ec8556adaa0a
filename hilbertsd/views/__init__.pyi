from .descent import Descent as Descent
from .descent import State as State
from .descent import TrainedViews as TrainedViews
from .descent import train_view_networks as train_view_networks
from .losses import LOSSES as LOSSES
from .losses import ViewLoss as ViewLoss
from .network import ViewNetwork as ViewNetwork
