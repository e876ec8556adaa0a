from .multiplier import solve_multiplier as solve_multiplier
from .multiplier import training_error as training_error
from .spectrum import KrylovSpectrum as KrylovSpectrum
from .spectrum import Spectrum as Spectrum
