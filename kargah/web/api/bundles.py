"""Bundles: a model with all that belongs to it as one signed file, made here and brought in here; and whose are taken."""

import asyncio
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, model_validator

from kargah.assets import uploads
from kargah.bundles import exporting, importing, peers, signers, signing
from kargah.bundles.importing import Bundle, ImportStarted
from kargah.bundles.peers import Peer, PeerItem, PeerWish
from kargah.bundles.signers import SignerOut
from kargah.bundles.signing import SignedManifest
from kargah.kit.errors import BadInput
from kargah.models.downloads import DownloadOut
from kargah.store.access import require_creator
from kargah.web import idempotency, ranges
from kargah.web.api.datasets import attachment
from kargah.web.deps import Ask, Asking

router = APIRouter(prefix="/api/v1", tags=["bundles"])
MEDIA_TYPE = "application/x-kargah-bundle"


class BundleWish(BaseModel):
    """A file that was uploaded (all of it, not finished), or one on the server's own disk below an import root.

    ``signer``: the fingerprint of a key that is not known here, as confirmed by whoever asks.
    """

    model_config = ConfigDict(extra="forbid")

    upload_id: str | None = Field(None, max_length=48)
    path: str | None = Field(None, min_length=1, max_length=4000)
    signer: str | None = Field(None, pattern=signing.FINGERPRINT)

    @model_validator(mode="after")
    def _one_place(self) -> "BundleWish":
        if (self.upload_id is None) == (self.path is None):
            raise ValueError("either upload_id or path")
        return self


class PeerItems(BaseModel):
    items: list[PeerItem]


class Signers(BaseModel):
    """``own``: of what is exported here. ``known``: whose bundles are taken without asking."""

    own: SignerOut
    known: list[SignerOut]


@router.get("/models/{model_version_id}/bundle", tags=["models"], response_class=StreamingResponse)
async def export_bundle(model_version_id: str, request: Request, ask: Ask, datasets: bool = False) -> Response:
    """One file for a machine without a network: the model, with ``datasets`` what it was trained on, the locked requirements, every
    hash, signed. The same version gives the same bytes, so a download that broke off is gone on with (``Range``)."""
    manifest = await ask(exporting.describe, model_version_id, with_datasets=datasets)
    made = await asyncio.to_thread(exporting.lay_out, ask.settings.home, manifest)
    headers = {"Content-Disposition": attachment(made.filename)}
    return ranges.stream(request, made.layout.size_bytes, made.mark, made.layout.chunks, headers, MEDIA_TYPE)


@router.get("/models/{model_version_id}/bundle/manifest", tags=["models"])
async def bundle_manifest(model_version_id: str, ask: Ask, datasets: bool = False) -> SignedManifest:
    """What would be in it, as it would be signed."""
    manifest = await ask(exporting.describe, model_version_id, with_datasets=datasets)
    return await asyncio.to_thread(exporting.words_of, ask.settings.home, manifest)


@router.post("/bundles", status_code=201, response_model=ImportStarted)
async def import_bundle(wish: BundleWish, ask: Ask, key: idempotency.Key = None) -> Response:
    """Its words are looked at at once: what is no bundle, or of a signer whom nobody here knows (409 UNKNOWN_SIGNER names the key to be
    confirmed as ``signer``), is refused. Then a job verifies every content and registers all of it, or nothing."""
    if (told := await idempotency.known(ask, key, wish.model_dump_json())) is not None:
        return told  # what was sent is kept no longer than its job
    bundle = await looked_at(ask, wish)
    return await idempotency.once(ask, key, wish.model_dump_json(), importing.start, ask.settings, bundle, wish.signer, wish.upload_id)


@router.post("/peers/list")
async def list_peer(peer: Peer, ask: Ask) -> PeerItems:
    """What another Kargah shows to the token. Its host must stand in KARGAH_URL_IMPORT_ALLOW."""
    require_creator(ask.actor)
    return PeerItems(items=await asyncio.to_thread(peers.items_of, ask.settings, peer))


@router.post("/peers/import", status_code=201)
async def import_from_peer(wish: PeerWish, ask: Ask) -> DownloadOut:
    """A download like any other: watch it, pause it, stop it by its ``job.id``. 409 UNKNOWN_SIGNER as with a bundle."""
    require_creator(ask.actor)
    found = await asyncio.to_thread(peers.words_of, ask.settings, wish)
    return await ask(peers.start, ask.settings, wish, found)


@router.get("/bundles/signers")
async def list_signers(ask: Ask) -> Signers:
    return Signers(own=await ask.compute(signers.own, ask.settings.home), known=await ask.compute(signers.known, ask.settings.home))


@router.delete("/bundles/signers/{fingerprint}", status_code=204)
async def forget_signer(fingerprint: str, ask: Ask) -> None:
    """For admins; what came in by it stays."""
    await ask.compute(signers.forget, ask.actor, ask.settings.home, fingerprint)


async def looked_at(ask: Asking, wish: BundleWish) -> Bundle:
    """The words of the file. What was sent and can be no bundle, however often it is looked at, is kept no longer."""
    require_creator(ask.actor)
    path = await _file(ask, wish)
    try:
        return await asyncio.to_thread(importing.look_at, path)
    except BadInput:
        if wish.upload_id is not None:
            await ask.write(uploads.delete, ask.settings, wish.upload_id)
        raise


async def _file(ask: Asking, wish: BundleWish) -> Path:
    if wish.path is not None:
        return importing.allowed_file(ask.settings, wish.path)
    found = await ask.read(uploads.show, ask.settings, wish.upload_id or "")
    return uploads.whole(ask.settings.home, found)
