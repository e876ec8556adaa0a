"""Images at the door of every function that gives them to a network."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import InvalidInput
from hilbertsd.support.checks import as_real_array


def finite_images(images: Any, name: str, first: int = 0) -> NDArray[Any]:
    """Images as a NumPy array.

    Parameters
    ----------
    images : (n, ...) array of any library, or nested lists.
    name : what an error message calls them.
    first : number of the first image, where these are a part of all images.

    Raises
    ------
    InvalidInput
        They are no real numbers, or not all finite; the message names the first image with such a value.
    """
    array = np.asarray(as_real_array(images, name, InvalidInput))
    finite = np.isfinite(array)
    if not np.all(finite):
        row = first + int(np.argmin(finite.reshape(len(array), -1).all(axis=1)))
        raise InvalidInput(f"{name} hold values that are not finite in row {row}; leave it out")
    return array
