"""A signed bundle is accepted with its key. Any change of the bundle is refused."""

import os
import shutil
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from rnvp_exporters import ExportError
from rnvp_exporters.bundle.signing import sign
from rnvp_runtime import InputError
from rnvp_runtime.bundle.verification import Check, verify
from rnvp_runtime.commands.verify import verify as verify_command
from tests.faults.bundles import copy, put_graph

pytest.importorskip("model_signing")
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.faults.keys import PEM, PKCS8, PLAIN, PUBLIC, key_pair


def fault(bundle: Path, key: Path) -> Check | None:
    """The check of the signature if it failed, else None."""
    return next(
        (c for c in verify(bundle, key=key) if c.name == "model.sig" and not c.passed), None
    )


def test_a_signed_bundle_passes_with_its_key(
    signed: Path, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Verification works offline, for a folder and a zip file, and runs all other checks too."""
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("it connects"))
    packed = shutil.make_archive(str(keys[0].parent / "model.rnvp"), "zip", signed)
    for path in (signed, packed):
        checks = verify(path, key=keys[1])
        assert all(check.passed for check in checks), checks
        assert {"files", "model.sig", "density log_prob"} <= {check.name for check in checks}


def test_a_signed_bundle_passes_without_a_key(signed: Path) -> None:
    """The signature is part of the bundle and is then not read."""
    assert all(check.passed for check in verify(signed))


def test_a_signed_bundle_holds_nothing_else(
    signed: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    """With a key, a file that a system added was not signed. Without one, it is passed over."""
    bundle = copy(signed, tmp_path)
    (bundle / ".DS_Store").write_text("x")
    assert all(check.passed for check in verify(bundle))
    failed = [check for check in verify(bundle, key=keys[1]) if not check.passed]
    assert [check.name for check in failed] == [".DS_Store"]


def test_the_signature_is_checked_by_model_signing_alone(
    signed: Path, keys: tuple[Path, Path]
) -> None:
    """The format is OpenSSF model signing, so its own command can check a bundle."""
    from model_signing import verifying

    config = verifying.Config().use_elliptic_key_verifier(public_key=keys[1])
    config.verify(signed, signed / "model.sig")


def test_another_key_is_refused(signed: Path, tmp_path: Path) -> None:
    """The check gives one line, and the test vectors are not run."""
    _, other = key_pair(tmp_path, "other")
    checks = verify(signed, key=other)
    assert [c.name for c in checks if not c.passed] == ["model.sig", "test vectors"]
    assert "\n" not in checks[-2].detail


@pytest.mark.parametrize("file", ["density.onnx", "manifest.json"])
def test_a_changed_file_is_refused_though_its_hash_is_true(
    file: str, signed: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    """An attacker can correct the hashes of the manifest, but not the signature."""
    bundle = copy(signed, tmp_path)
    content = (bundle / file).read_bytes()
    if file == "density.onnx":
        put_graph(bundle, "density", content + b"\x1a\x00")
    else:
        (bundle / file).write_bytes(content + b"\n")
    found = fault(bundle, keys[1])
    assert found is not None
    assert "was not made for these files" in found.detail


@pytest.mark.parametrize("at", [0.1, 0.5, 0.9])
def test_a_damaged_signature_is_refused(
    at: float, signed: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    """The signature may be cut, replaced as a whole or changed in one byte."""
    bundle = copy(signed, tmp_path)
    content = bytearray((signed / "model.sig").read_bytes())
    for harm in (content[: int(at * len(content))], b"", b"{}", b"\xff" * 40):
        (bundle / "model.sig").write_bytes(harm)
        assert fault(bundle, keys[1]) is not None
    content[int(at * len(content))] ^= 4
    (bundle / "model.sig").write_bytes(content)
    assert fault(bundle, keys[1]) is not None


def test_the_signature_of_another_bundle_is_refused(
    signed: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    """A signature by the same publisher does not fit another bundle."""
    bundle = copy(signed, tmp_path)
    put_graph(bundle, "density", (bundle / "density.onnx").read_bytes() + b"\x1a\x00")
    sign(bundle, keys[0])
    assert fault(bundle, keys[1]) is None
    shutil.copy(signed / "model.sig", bundle)
    assert fault(bundle, keys[1]) is not None


def test_an_unsigned_bundle_is_refused_where_a_key_is_given(
    signed: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    """The command exits with 1 and says that the bundle is not signed."""
    bundle = copy(signed, tmp_path)
    (bundle / "model.sig").unlink()
    done = CliRunner().invoke(verify_command, [str(bundle), "--key", str(keys[1])])
    assert done.exit_code == 1
    assert "model.sig" in done.output
    assert "is missing: the bundle was exported without --sign" in done.output


def test_a_key_that_is_none_is_named(signed: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    """A key of the wrong kind and a missing file are refused for signing and for verifying."""
    other = tmp_path / "rsa.pem"
    secret = rsa.generate_private_key(65537, 2048)
    other.write_bytes(secret.private_bytes(PEM, PKCS8, PLAIN))
    public = tmp_path / "rsa.pub"
    public.write_bytes(secret.public_key().public_bytes(PEM, PUBLIC))
    for key, said in [
        (keys[0], "is not a public key"),
        (public, "not an elliptic-curve key"),
        (tmp_path / "none", "cannot be read"),
    ]:
        with pytest.raises(InputError, match=said):
            verify(signed, key=key)
    for key, said in [
        (keys[1], "is not a private key"),
        (other, "expected P-256"),
        (tmp_path / "none", "cannot be read"),
    ]:
        with pytest.raises(ExportError, match=said):
            sign(signed, key)


def test_an_encrypted_key_needs_its_password(
    signed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment gives the password, because a process list would show an argument."""
    private, public = key_pair(tmp_path, "secret", b"correct horse")
    bundle = copy(signed, tmp_path)
    with pytest.raises(ExportError, match="RNVP_SIGN_PASSWORD"):
        sign(bundle, private)
    monkeypatch.setitem(os.environ, "RNVP_SIGN_PASSWORD", "correct horse")
    sign(bundle, private)
    assert fault(bundle, public) is None
