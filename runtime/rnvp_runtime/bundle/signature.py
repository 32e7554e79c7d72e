"""Whether a bundle was signed with the private key that belongs to a public key.

The signature is the file ``model.sig`` of the bundle, in the format of OpenSSF model signing. It is
over the content and the name of every other file, ``manifest.json`` included. No server is
contacted. The user gets the public key from a trusted person, by another way than the bundle.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from rnvp_runtime.errors import InputError
from rnvp_runtime.extras import import_extra

__all__ = ["MAX_SIGNATURE_BYTES", "SIGNATURE_FILE", "signature_fault"]

SIGNATURE_FILE = "model.sig"
MAX_SIGNATURE_BYTES = 16 << 20


def signature_fault(files: Mapping[str, bytes], signature: bytes, key: Path) -> str | None:
    """What is wrong with a signature, in one line; None if nothing is.

    Args:
        files: name -> content of every file of the bundle but the signature.
        signature: the content of ``model.sig``.
        key: a public key in PEM, on the curve P-256, P-384 or P-521.

    Raises:
        InputError: ``key`` is not such a key.
        MissingExtraError: model-signing is not installed.
    """
    verifying = import_extra("model_signing.verifying")
    _check_public_key(key)
    with tempfile.TemporaryDirectory(prefix="rnvp-") as folder:
        # The bytes that were read are written again: what is checked is what is run.
        bundle, signature_file = Path(folder, "bundle"), Path(folder, SIGNATURE_FILE)
        for name, content in files.items():
            path = bundle / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        signature_file.write_bytes(signature)
        config = verifying.Config().use_elliptic_key_verifier(public_key=key)
        try:
            config.verify(bundle, signature_file)
        except Exception as error:  # a forged file may raise anything
            reason = " ".join(str(error).split())[:300]
            return f"was not made for these files with this key ({reason or type(error).__name__})"
    return None


def _check_public_key(key: Path) -> None:
    serialization = import_extra("cryptography.hazmat.primitives.serialization")
    curves = import_extra("cryptography.hazmat.primitives.asymmetric.ec")
    try:
        found = serialization.load_pem_public_key(key.read_bytes())
    except OSError as error:
        raise InputError(f"{key} cannot be read: {error.strerror}") from None
    except Exception:
        raise InputError(f"{key} is not a public key in PEM: pass the key's public half") from None
    if not isinstance(found, curves.EllipticCurvePublicKey):
        raise InputError(f"{key} is not an elliptic-curve key: make one as SECURITY.md says")
