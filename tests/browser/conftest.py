from support.browser_people import chromium, person, site

__all__ = ["chromium", "person", "site"]
