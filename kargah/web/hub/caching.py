"""The door's half of the pull-through cache (kargah.hub.cache): a client waits for what comes soon, and comes again for the rest."""

import asyncio
import time

from kargah.hub import cache, repositories
from kargah.hub.repositories import Address
from kargah.web.deps import SAFE_METHODS, Asking

#: Less than clients wait for an answer.
WAIT_SECONDS = 7.0
LOOK_SECONDS = 0.25


async def bring_here(ask: Asking, address: Address) -> None:
    """Nothing, unless the settings want a cache, somebody reads, and it is not here. Raises BeingFetched, FetchFailed, DownloadActive."""
    is_reading = ask.connection.scope["method"] in SAFE_METHODS
    if not (ask.settings.hub_cache and is_reading) or await ask.read(repositories.is_here, address):
        return
    download_id = await ask.write(cache.want, ask.settings, address)
    if download_id is None:
        return
    until_seconds = time.monotonic() + WAIT_SECONDS
    while not await ask.read(cache.is_settled, download_id):
        if time.monotonic() > until_seconds:
            raise await ask.read(cache.being_fetched, download_id)
        await asyncio.sleep(LOOK_SECONDS)
    await ask.write(cache.name, download_id)
