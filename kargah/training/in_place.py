"""Tables that lie below a root, made data sets without a copy."""

from pathlib import Path

from sqlalchemy.orm import Session

from kargah.assets import blobs, roots
from kargah.assets.manifest import FileEntry
from kargah.assets.tables import STORED, Asset, Root
from kargah.datasets import service as datasets
from kargah.datasets.schemas import DatasetOut
from kargah.kit.errors import BadInput
from kargah.kit.files import Digest
from kargah.store import access
from kargah.store.access import Actor


class NotInPlace(BadInput):
    """``title``: no table of a root."""

    code = "NOT_IN_PLACE"


def import_table(session: Session, actor: Actor, home: Path, asset_id: str) -> DatasetOut:
    """The job that reads it hashes it once more. Raises NotInPlace, PlaceGone."""
    access.require_creator(actor)
    asset = access.load(session, actor, Asset, asset_id)
    root = session.get(Root, asset.root_id) if asset.root_id else None
    if root is None or asset.place is None or asset.subject_id is not None or asset.source == STORED:
        raise NotInPlace(field="", title=asset.name)
    entry = FileEntry.model_validate(asset.files[0])
    blobs.link(home, roots.locate(root.path, asset.place), entry.sha256)
    digest = Digest(entry.sha256, entry.git_sha1, entry.size_bytes)
    made, _, _ = datasets.create_from_upload(session, actor, None, asset.name, digest)
    return made
