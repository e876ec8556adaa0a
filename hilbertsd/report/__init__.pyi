from .claims import claims_page as claims_page
