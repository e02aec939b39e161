"""All pages, put into the application: their routes, their files, and how an error looks among them."""

from fastapi import FastAPI

from kargah.web.pages import (
    about,
    access,
    account,
    analytics,
    bundles,
    compare,
    dashboard,
    dataset_columns,
    dataset_import,
    dataset_rows,
    dataset_tokens,
    datasets,
    evaluation_form,
    evaluations,
    first_run,
    hardware,
    help_page,
    models,
    models_catalogue,
    notices,
    people,
    run_afterwards,
    run_checkpoints,
    run_controls,
    run_curves,
    run_failure,
    run_list,
    run_log,
    runs,
    scripts,
    settings,
    storage,
    training,
    trash,
    trying,
)
from kargah.web.pages.assets import ADDRESS, Assets
from kargah.web.pages.errors import error_page


def add_to(app: FastAPI) -> None:
    for pages in (
        access,
        account,
        dashboard,
        dataset_columns,
        dataset_import,
        dataset_rows,
        dataset_tokens,
        datasets,
        training,
        run_failure,
        run_afterwards,
        run_list,
        run_controls,
        run_checkpoints,
        run_curves,
        compare,
        analytics,
        run_log,
        runs,
        scripts,
        trying,
        evaluation_form,  # before evaluations, whose {evaluation_id} would take its word
        evaluations,
        trash,
        storage,
        bundles,
        models_catalogue,  # these two before models, whose {model_id} would take their words
        models,
    ):
        app.include_router(pages.router)
    for pages in (first_run, hardware, people, settings, help_page, about, notices):
        app.include_router(pages.router)
    app.mount(ADDRESS, Assets(), name="static")
    app.state.error_page = error_page
