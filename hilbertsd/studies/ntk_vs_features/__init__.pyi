from .experiment import STUDY as STUDY
