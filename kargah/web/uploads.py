"""A file that comes in by HTTP, straight into the store of files: never whole in memory, never twice on the disk."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from kargah.assets import blobs
from kargah.assets import uploads as pieces
from kargah.kit.files import Digest
from kargah.web.deps import Asking
from kargah.web.errors import BadRequest

FILE_FIELD = "file"
HASH_FIELD = "_sha256"
MOST_FIELDS = 32
LONGEST_FIELD_BYTES = 64 * 1024


class BadUpload(BadRequest):
    """``reason``: no_file, form_broken, or what else is wrong with the form around the file."""

    code = "BAD_UPLOAD"


@dataclass(frozen=True)
class Upload:
    """A file that is kept, and the other fields of its form."""

    filename: str
    digest: Digest
    fields: dict[str, str]

    @property
    def once(self) -> str:
        """The form's own name; empty when it has none."""
        return self.fields.get("_once", "")

    @property
    def wish(self) -> str:
        """Two uploads of one wish are the same one, sent twice."""
        asked = sorted((name, value) for name, value in self.fields.items() if not name.startswith("_"))
        return f"{self.filename}\0{self.digest.sha256}\0{asked}"


async def receive(request: Request, ask: Asking) -> Upload:
    """The one file of a multipart form (field ``file``).

    Raises BadUpload, TooLarge, QuotaExceeded, DiskFull, HashDiffers; then nothing is kept. Fields may stand before or after the
    file. The CSRF token was looked for by the gate.
    """
    form = _Form(_boundary_of(request))
    limit_bytes = await _limit_bytes(request, ask)
    try:
        digest = await blobs.put_stream(ask.settings.home, form.file_chunks(request.stream()), limit_bytes, form.stated())
    except blobs.HashDiffers as error:
        raise blobs.HashDiffers(path=form.filename, expected=error.params["expected"]) from error
    if form.filename is None:
        raise BadUpload(field=FILE_FIELD, reason="no_file")
    return Upload(form.filename, digest, form.fields)


async def receive_part(request: Request, ask: Asking) -> tuple[pieces.UploadOut, dict[str, str]]:
    """The same, left as it came among the asker's unfinished uploads: what is made of it is decided later."""
    form = _Form(_boundary_of(request))
    limit_bytes = await _limit_bytes(request, ask)
    wish = pieces.UploadWish(filename=FILE_FIELD, size_bytes=min(limit_bytes, int(request.headers.get("content-length", limit_bytes))))
    begun = await ask.write(pieces.begin, ask.settings, wish)
    try:
        part = pieces.part_of(ask.settings.home, begun.id)
        size_bytes = await pieces.append(part, 0, begun.size_bytes, form.file_chunks(request.stream()))
        if form.filename is None:
            raise BadUpload(field=FILE_FIELD, reason="no_file")
        return await ask.write(pieces.settle, ask.settings, begun.id, form.filename, size_bytes), form.fields
    except BaseException:
        await ask.write(pieces.delete, ask.settings, begun.id)
        raise


async def receive_raw(request: Request, ask: Asking, filename: str) -> Upload:
    """The body itself is the file."""
    limit_bytes = await _limit_bytes(request, ask)
    return Upload(filename, await blobs.put_stream(ask.settings.home, request.stream(), limit_bytes), {})


async def _limit_bytes(request: Request, ask: Asking) -> int:
    """What may come; a length that is stated is judged before a byte is read."""
    known = await ask.read(pieces.limits, ask.settings)
    pieces.require_room(known, ask.settings, int(request.headers.get("content-length", 0)))
    return min(known.file_bytes, known.file_bytes if known.quota_left_bytes is None else known.quota_left_bytes)


def _boundary_of(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise BadUpload(field=FILE_FIELD, reason="no_file")
    return options[b"boundary"]


@dataclass
class _Part:
    """The part of the form that is being read; ``filename`` is null for an ordinary field."""

    disposition: bytes = b""
    header_name: bytes = b""
    header_value: bytes = b""
    name: str = ""
    filename: str | None = None
    value: bytearray = field(default_factory=bytearray)


class _Form:
    def __init__(self, boundary: bytes) -> None:
        self.fields: dict[str, str] = {}
        self.filename: str | None = None
        self._part = _Part()
        self._file: list[bytes] = []
        callbacks = {name: getattr(self, f"_{name}") for name in _CALLBACKS}
        try:
            self._parser = MultipartParser(boundary, callbacks)  # type: ignore[arg-type]
        except FormParserError as error:
            raise BadUpload(field=FILE_FIELD, reason="form_broken") from error

    def stated(self) -> Iterator[str]:
        """The hash that the sender has, once the form was read."""
        if HASH_FIELD in self.fields:
            yield self.fields[HASH_FIELD].lower()

    async def file_chunks(self, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            async for chunk in stream:
                self._parser.write(chunk)
                for part in self._file:
                    yield part
                self._file.clear()
            self._parser.finalize()
        except FormParserError as error:
            raise BadUpload(field=FILE_FIELD, reason="form_broken") from error
        if not self._ended:
            raise BadUpload(field=FILE_FIELD, reason="form_broken")

    _ended = False

    def _on_end(self) -> None:
        self._ended = True

    def _on_part_begin(self) -> None:
        self._part = _Part()

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._part.header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._part.header_value += data[start:end]

    def _on_header_end(self) -> None:
        if self._part.header_name.lower() == b"content-disposition":
            self._part.disposition = self._part.header_value
        self._part.header_name = self._part.header_value = b""

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._part.disposition)
        self._part.name = options.get(b"name", b"").decode("utf-8", "replace")
        if b"filename" not in options:
            return
        if self.filename is not None or self._part.name != FILE_FIELD:
            raise BadUpload(field=self._part.name[:100], reason="one_file")
        self.filename = self._part.filename = options[b"filename"].decode("utf-8", "replace")

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._part.filename is not None:
            self._file.append(data[start:end])
            return
        self._part.value += data[start:end]
        if len(self._part.value) > LONGEST_FIELD_BYTES or len(self.fields) > MOST_FIELDS:
            raise BadUpload(field=self._part.name[:100], reason="form_broken")

    def _on_part_end(self) -> None:
        if self._part.filename is None:
            text = self._part.value.decode("utf-8", "replace")
            if "\0" in text:
                raise BadUpload(field=self._part.name[:100], reason="nul")
            self.fields[self._part.name] = text


_CALLBACKS = (
    "on_part_begin",
    "on_part_data",
    "on_part_end",
    "on_header_field",
    "on_header_value",
    "on_header_end",
    "on_headers_finished",
    "on_end",
)
