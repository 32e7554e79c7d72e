"""The folder of C compiles without a warning, and its program draws the samples of Python."""

import importlib.util
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rnvp_deploy import RNVPConfig
from rnvp_exporters.errors import ExportError
from rnvp_exporters.native import flow_bin, write_c_folder
from rnvp_runtime.native import NativeFlow
from tests.flows import lively

STRICT = ["-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-pedantic"]
SOURCES = ["example.c", "rnvp.c", "flow.c"]
FLOWS = {
    "float": (RNVPConfig(dim=3, hidden=(8, 8), couplings=2), "float32"),
    "double": (RNVPConfig(dim=2, context_dim=2, hidden=(8,), couplings=2), "float64"),
}
TARGETS = {
    "aarch64-linux-musl": "qemu-aarch64",
    "x86_64-windows-gnu": None,
    "aarch64-windows-gnu": None,
    "aarch64-macos": None,
    "x86_64-macos": None,
    "riscv64-linux-musl": "qemu-riscv64",
}
"""Targets of zig, each with the emulator that runs its result here."""

ONE_OF_EACH_KIND = ("aarch64-linux-musl", "aarch64-macos")
"""Targets of the slow tests. zig first builds the C library of each, for up to a minute."""


@pytest.fixture(params=FLOWS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder of C."""
    config, dtype = FLOWS[request.param]
    content = flow_bin(lively(config), dtype)  # type: ignore[arg-type]
    (tmp_path / "flow.bin").write_bytes(content)
    write_c_folder(content, tmp_path / "flow")
    return tmp_path / "flow"


def hold_to_python(folder: Path, command: list[str]) -> None:
    """Check that the samples of the example are those of the engine in Python."""
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = np.array([line.split(",") for line in said.splitlines()], float)
    flow = NativeFlow((folder.parent / "flow.bin").read_bytes())
    context = np.zeros((5, flow.context_dim), flow.dtype) if flow.context_dim else None
    x, log_prob = flow.sample(7, 0, 5, 1.0, context)
    np.testing.assert_allclose(found, np.column_stack([x, log_prob]), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_it_compiles_without_a_warning(folder: Path, compiler: str) -> None:
    """The compiled program draws the samples of the engine in Python."""
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    subprocess.run([compiler, *STRICT, *SOURCES, "-o", "example"], cwd=folder, check=True)
    hold_to_python(folder, [str(folder / "example")])


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ziglang") is None, reason="ziglang is not installed")
@pytest.mark.parametrize(
    "target",
    [
        pytest.param(name, marks=() if name in ONE_OF_EACH_KIND else pytest.mark.matrix)
        for name in TARGETS
    ],
)
def test_it_compiles_for_other_machines(target: str, tmp_path: Path) -> None:
    """The program also runs if its emulator is installed."""
    config, dtype = FLOWS["float"]
    content = flow_bin(lively(config), dtype)  # type: ignore[arg-type]
    (tmp_path / "flow.bin").write_bytes(content)
    folder = tmp_path / "flow"
    write_c_folder(content, folder)
    zig = [sys.executable, "-m", "ziglang", "cc", "-target", target]
    subprocess.run([*zig, *STRICT, *SOURCES, "-o", "example"], cwd=folder, check=True)
    made = folder / ("example.exe" if (folder / "example.exe").exists() else "example")
    assert made.stat().st_size > 10_000
    emulator = TARGETS[target]
    if emulator and shutil.which(emulator) and platform.system() == "Linux":
        hold_to_python(folder, [emulator, str(made)])


def test_a_folder_is_not_overwritten(folder: Path) -> None:
    """An existing folder is refused without force. With force only a folder of C is replaced."""
    content = (folder.parent / "flow.bin").read_bytes()
    with pytest.raises(ExportError):
        write_c_folder(content, folder)
    write_c_folder(content, folder, force=True)
    other = folder.parent / "other"
    other.mkdir()
    (other / "mine.c").touch()
    with pytest.raises(ExportError):
        write_c_folder(content, other, force=True)


def test_the_flow_is_in_the_program(folder: Path) -> None:
    """The array in flow.c holds the bytes of flow.bin."""
    text = (folder / "flow.c").read_text()
    words = [int(word.strip("},;"), 16) for word in text.replace(",", " ").split() if "0x" in word]
    content = (folder.parent / "flow.bin").read_bytes()
    assert np.array(words, "<u4").tobytes() == content
