"""Key pairs for signing bundles."""

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

__all__ = ["PEM", "PKCS8", "PLAIN", "PUBLIC", "key_pair"]

PEM, PLAIN = serialization.Encoding.PEM, serialization.NoEncryption()
PKCS8 = serialization.PrivateFormat.PKCS8
PUBLIC = serialization.PublicFormat.SubjectPublicKeyInfo


def key_pair(
    folder: Path,
    name: str,
    password: bytes | None = None,
    curve: type[ec.EllipticCurve] = ec.SECP256R1,
) -> tuple[Path, Path]:
    """Write a private and a public key as files."""
    folder.mkdir(exist_ok=True)
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    key = ec.generate_private_key(curve())
    secret = serialization.BestAvailableEncryption(password) if password else PLAIN
    private.write_bytes(key.private_bytes(PEM, PKCS8, secret))
    public.write_bytes(key.public_key().public_bytes(PEM, PUBLIC))
    return private, public
