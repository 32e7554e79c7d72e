"""With ``publicKey``, JavaScript loads the bundles that ``rnvp-verify --key`` accepts."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from driving import Driver, JavaScriptError, Place

pytest.importorskip("model_signing")
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from rnvp_exporters.bundle.page import write_page
from rnvp_exporters.bundle.signing import sign
from rnvp_runtime import Manifest
from rnvp_runtime.bundle.manifest import FileRecord
from rnvp_runtime.bundle.verification import verify
from tests.faults.bundles import copy, put_graph
from tests.faults.keys import PEM, PKCS8, PLAIN, PUBLIC, key_pair

LOAD = "await load(args.source, { publicKey: args.key });"
SCORE = """
const flow = await load(args.source, { publicKey: args.key });
const found = await flow.logProb([[0.5, -1]]);
await flow.close();
return [...found];
"""


@pytest.fixture
def own(signed: Path, tmp_path: Path) -> Path:
    """A copy of the signed bundle, which the test may damage."""
    return copy(signed, tmp_path)


def loaded(driver: Driver, bundle: Path, key: Path, code: str = LOAD) -> object:
    """Run ``code`` in Node with a bundle and a key."""
    return driver.run(code, source=str(bundle), key=key.read_text())


def refusal(driver: Driver, bundle: Path, key: Path) -> str:
    """Node's error for a bundle that Python refuses too."""
    assert any(check.name == "model.sig" and not check.passed for check in verify(bundle, key=key))
    with pytest.raises(JavaScriptError) as caught:
        loaded(driver, bundle, key)
    assert caught.value.name == "BundleError"
    assert "\n" not in caught.value.message
    return caught.value.message


def test_a_signed_bundle_is_loaded_with_its_key(
    place: Place, root: Path, packages: Path, signed: Path, keys: tuple[Path, Path]
) -> None:
    """Node and a page load it. With another key both refuse it."""
    site = root / f"signed-{place.kind}"
    write_page(signed, site, onnxruntime_web=packages / "onnxruntime-web")
    assert len(place.run(SCORE, site, key=keys[1].read_text())) == 1
    _, other = key_pair(root, "other")
    with pytest.raises(JavaScriptError, match=r"BundleError.*the signature does not verify"):
        place.run(SCORE, site, key=other.read_text())


@pytest.mark.parametrize("curve", [ec.SECP384R1, ec.SECP521R1])
def test_the_other_curves(
    driver: Driver, signed: Path, tmp_path: Path, curve: type[ec.EllipticCurve]
) -> None:
    """Keys of P-384 and P-521 are accepted."""
    bundle = copy(signed, tmp_path)
    (bundle / "model.sig").unlink()
    private, public = key_pair(tmp_path, "other", curve=curve)
    sign(bundle, private)
    loaded(driver, bundle, public)


def _changed_graph(bundle: Path) -> None:
    put_graph(bundle, "density", (bundle / "density.onnx").read_bytes() + b"\x1a\x00")


def _changed_manifest(bundle: Path) -> None:
    with (bundle / "manifest.json").open("a") as file:
        file.write("\n")


def _added_and_listed(bundle: Path) -> None:
    (bundle / "more.txt").write_bytes(b"")
    manifest = Manifest.read(bundle)
    record = FileRecord("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", 0)
    listed = dataclasses.replace(manifest, files={**manifest.files, "more.txt": record})
    (bundle / "manifest.json").write_text(listed.to_json(), encoding="utf-8")


def _unsigned(bundle: Path) -> None:
    (bundle / "model.sig").unlink()


def _renamed_list(bundle: Path) -> None:
    _edit(bundle, lambda envelope: envelope.update(payloadType="text/plain"))


def _other_payload(bundle: Path) -> None:
    _edit(bundle, lambda envelope: envelope.update(payload="e30="))


def _no_signature(bundle: Path) -> None:
    _edit(bundle, lambda envelope: envelope.update(signatures=[]))


def _edit(bundle: Path, edit: Callable[[dict[str, object]], None]) -> None:
    found = json.loads((bundle / "model.sig").read_text())
    edit(found["dsseEnvelope"])
    (bundle / "model.sig").write_text(json.dumps(found))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (_changed_graph, "manifest.json is another file"),
        (_changed_manifest, "manifest.json is another file"),
        (_added_and_listed, "manifest.json is another file"),
        (_unsigned, "model.sig is missing: the bundle was exported without --sign"),
        (_renamed_list, "it is not a signature of OpenSSF model signing"),
        (_other_payload, "the signature does not verify"),
        (_no_signature, "it is not a signature of OpenSSF model signing"),
    ],
)
def test_what_was_not_signed_is_refused(
    driver: Driver, own: Path, keys: tuple[Path, Path], harm: Callable[[Path], None], said: str
) -> None:
    """The hashes of the manifest are correct, since an attacker would correct them."""
    harm(own)
    assert said in refusal(driver, own, keys[1])


def test_a_changed_graph_is_refused_when_it_is_read(
    driver: Driver, own: Path, keys: tuple[Path, Path]
) -> None:
    """The hash in the signed manifest does not fit the changed file."""
    with (own / "density.onnx").open("ab") as file:
        file.write(b"\x1a\x00")
    with pytest.raises(JavaScriptError, match=r"density\.onnx is not the file that was exported"):
        loaded(driver, own, keys[1], SCORE)


def test_a_file_beside_the_signed_ones_is_refused(
    driver: Driver, own: Path, keys: tuple[Path, Path]
) -> None:
    """It is refused in a folder and among files in memory."""
    (own / "tests" / "more.txt").write_bytes(b"")
    assert not all(check.passed for check in verify(own, key=keys[1]))
    in_memory = """
    const { readFileSync, readdirSync } = process.getBuiltinModule("node:fs");
    const names = readdirSync(args.source, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => `${entry.parentPath}/${entry.name}`);
    const files = Object.fromEntries(
      names.map((name) => [name.slice(args.source.length + 1), readFileSync(name)]),
    );
    await load(files, { publicKey: args.key });
    """
    for code in (LOAD, in_memory):
        with pytest.raises(JavaScriptError, match=r"more\.txt\" is not part of the bundle"):
            loaded(driver, own, keys[1], code)
    (own / "tests" / "more.txt").unlink()
    loaded(driver, own, keys[1], in_memory)


def test_the_signature_of_another_bundle_is_refused(
    driver: Driver, own: Path, signed: Path, keys: tuple[Path, Path]
) -> None:
    """A signature by the same publisher does not fit another bundle."""
    _changed_graph(own)
    sign(own, keys[0])
    loaded(driver, own, keys[1])
    shutil.copy(signed / "model.sig", own)
    assert "manifest.json is another file" in refusal(driver, own, keys[1])


def test_a_damaged_signature_is_refused(driver: Driver, own: Path, keys: tuple[Path, Path]) -> None:
    """The signature is cut at several places or changed in one byte."""
    content = (own / "model.sig").read_bytes()
    damaged = [b"", b"{}", b"\xff" * 40, *(content[: len(content) * k // 9] for k in range(1, 9))]
    at = content.index(b'"sig":"') + 7
    for i in (*range(at, at + 96, 7), content.index(b'"payload":"') + 40):
        other = bytearray(content)
        other[i] = ord("A") if content[i] != ord("A") else ord("B")
        damaged.append(bytes(other))
    for harmed in damaged:
        (own / "model.sig").write_bytes(harmed)
        with pytest.raises(JavaScriptError, match=r"BundleError.*model\.sig was not made for"):
            loaded(driver, own, keys[1])


def test_an_invalid_key_is_refused(
    driver: Driver, signed: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    """A private key, another kind of key, an unsupported curve and no key are refused."""
    other = rsa.generate_private_key(65537, 2048)
    secret = other.private_bytes(PEM, PKCS8, PLAIN).decode()
    public = other.public_key().public_bytes(PEM, PUBLIC).decode()
    _, foreign = key_pair(tmp_path, "foreign", curve=ec.SECP256K1)
    given = [keys[0].read_text(), secret, public, foreign.read_text(), "", "publisher.pub", 7, None]
    for key in given:
        with pytest.raises(JavaScriptError, match="InputError: publicKey is not a public key"):
            driver.run(LOAD, source=str(signed), key=key)
