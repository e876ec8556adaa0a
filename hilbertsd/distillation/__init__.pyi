from .certificate import Certificate as Certificate
from .chain import distill as distill
from .chain import distill_spectrum as distill_spectrum
from .chain import largest_tolerance as largest_tolerance
from .path import DistillationPath as DistillationPath
from .path_page import FitCurves as FitCurves
