"""Pages made from stored results: what studies say of the papers' claims.

page = hilbertsd.report.claims_page("figures")        # Markdown, as `hilbertsd claims figures` prints it
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
