"""Why a bundle was not taken, or another Kargah not asked. Nothing is kept then."""

from kargah.kit.errors import BadInput, Conflict, Forbidden, KargahError


class SignatureWrong(BadInput):
    """The manifest is not what was signed."""

    code = "BUNDLE_SIGNATURE_WRONG"


class BundleRefused(BadInput):
    """``path``: a file that could lead elsewhere, deceive the eye, or run."""

    code = "BUNDLE_FILE_REFUSED"


class UnknownSigner(Conflict):
    """``signer``: the fingerprint of a key that nobody here has confirmed; ``title``: of the model."""

    code = "UNKNOWN_SIGNER"


class BundlePathNotAllowed(Forbidden):
    """``path`` is below none of the import roots, or is no file: the answer is the same."""

    code = "BUNDLE_PATH_NOT_ALLOWED"


class PeerNotAllowed(Forbidden):
    """``host``: no admin has named it, or all that it leads to."""

    code = "PEER_NOT_ALLOWED"


class PeerUnreachable(KargahError):
    """``url`` does not answer as a Kargah does: ``reason``."""

    code = "PEER_UNREACHABLE"
    status = 502


class PeerRefused(KargahError):
    """``url`` answered with ``http_status``: the token is wrong there, or what is asked for is not shown to it."""

    code = "PEER_REFUSED"
    status = 502
