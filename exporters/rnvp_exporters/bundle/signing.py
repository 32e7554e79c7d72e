"""Signing a bundle, in the format of OpenSSF model signing."""

import os
from pathlib import Path

from rnvp_exporters.errors import ExportError
from rnvp_runtime.bundle.signature import SIGNATURE_FILE
from rnvp_runtime.extras import import_extra

__all__ = ["PASSWORD_VARIABLE", "check_key", "sign"]

PASSWORD_VARIABLE = "RNVP_SIGN_PASSWORD"
"""The environment variable that holds the password of an encrypted key."""


def sign(folder: Path, key: Path) -> None:
    """Write ``model.sig`` into the bundle ``folder``: a signature over all its other files.

    Args:
        folder: a complete bundle.
        key: see `check_key`.

    Raises:
        ExportError: as `check_key`.
        MissingExtraError: model-signing is not installed.
    """
    check_key(key)
    hashing, signing = (import_extra(f"model_signing.{name}") for name in ("hashing", "signing"))
    signature = folder / SIGNATURE_FILE
    hashed = hashing.Config().set_ignored_paths(paths=[signature], ignore_git_paths=False)
    config = signing.Config().set_hashing_config(hashed)
    config.use_elliptic_key_signer(private_key=key, password=_password())
    config.sign(folder, signature)


def check_key(key: Path) -> None:
    """Refuse a key that `sign` cannot use, before the export is computed.

    Args:
        key: a private key in PEM, on the curve P-256, P-384 or P-521.

    Raises:
        ExportError: it is not such a key, or its password is missing or wrong.
        MissingExtraError: model-signing is not installed.
    """
    import_extra("model_signing.signing")
    serialization = import_extra("cryptography.hazmat.primitives.serialization")
    try:
        found = serialization.load_pem_private_key(key.read_bytes(), _password())
    except OSError as error:
        raise ExportError(f"{key} cannot be read: {error.strerror}") from None
    except TypeError:
        raise ExportError(
            f"{key} is encrypted, or is not although {PASSWORD_VARIABLE} is set: that variable "
            "holds the key's password"
        ) from None
    except ValueError:
        raise ExportError(
            f"{key} is not a private key in PEM, or {PASSWORD_VARIABLE} is not its password"
        ) from None
    curve = getattr(getattr(found, "curve", None), "name", type(found).__name__)
    if curve not in ("secp256r1", "secp384r1", "secp521r1"):
        raise ExportError(f"{key} is a key of the kind {curve}, expected P-256, P-384 or P-521")


def _password() -> bytes | None:
    return os.environ[PASSWORD_VARIABLE].encode() if PASSWORD_VARIABLE in os.environ else None
