"""All pages, put into the application: their routes, their files, and how an error looks among them."""

from fastapi import FastAPI

from kargah.web.pages import access, account, dashboard, datasets, models, runs, training, trying
from kargah.web.pages.assets import ADDRESS, Assets
from kargah.web.pages.errors import error_page


def add_to(app: FastAPI) -> None:
    for pages in (access, account, dashboard, datasets, training, runs, trying, models):
        app.include_router(pages.router)
    app.mount(ADDRESS, Assets(), name="static")
    app.state.error_page = error_page
