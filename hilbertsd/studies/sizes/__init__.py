"""Tests behind verdicts, and the study of their sizes.

`gains` chooses the best round on one half of the images and counts on the other, `paired` compares two methods image by
image, `experiment` simulates both where there is no effect.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
