"""Every statement of the theory as a function, and all of them checked on a path.

The statements bound multipliers, rounds and sparsity before anything is solved (MFB §3). Each is about one constrained
path. Its r = ‖z‖/√(nε) > 1 is the norm of the targets divided by the norm of what one round leaves over (`ratio`), κ =
d_max/d_min the condition number and T the collapse round. r_0 is that of the round at which the path is looked at,
usually the first. Statements with κ need positive eigenvalues; for a singular kernel matrix they hold on its range from
round 1 on, with d_min the smallest positive eigenvalue, because round 0 removes the null component.

MFB: Mobahi, Farajtabar, Bartlett (2020), arXiv:2002.05715.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
