"""The runtime works where torch and onnx cannot be imported, and its import is fast."""

import subprocess
import sys
from pathlib import Path

import pytest

BLOCK = """
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Block())
"""


def _run(code: str, *args: str, blocked: tuple[str, ...] = ()) -> str:
    program = f"BLOCKED = {blocked!r}\n{BLOCK}\n{code}"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *args],
        capture_output=True, text=True, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_everything_works_without_torch_and_onnx(bundle: Path, tmp_path: Path) -> None:
    """rnvp-sample, score, verify and inspect run when importing torch and onnx fails."""
    code = """
from click.testing import CliRunner
from rnvp_runtime.commands import inspect, sample, score, verify
bundle, out = sys.argv[1:]
for command, args in [
    (sample.sample, [bundle, "-n", "100", "--seed", "7", "-o", out + "/s.npy"]),
    (score.score, [bundle, out + "/s.npy", "-o", out + "/l.npy"]),
    (verify.verify, [bundle]),
    (inspect.inspect, [bundle]),
]:
    CliRunner().invoke(command, args, catch_exceptions=False)
assert not {"torch", "onnx", "pyarrow", "pandas"} & sys.modules.keys()
"""
    _run(code, str(bundle), str(tmp_path), blocked=("torch", "onnx"))
    assert (tmp_path / "l.npy").exists()


def test_inspect_works_without_onnxruntime_and_numpy(bundle: Path) -> None:
    """rnvp-inspect runs where onnxruntime, numpy and torch cannot be imported."""
    code = """
from rnvp_runtime.commands.inspect import inspect
inspect(sys.argv[1:])
"""
    assert "one affine map" in _run(code, str(bundle), blocked=("onnxruntime", "numpy", "torch"))


@pytest.mark.parametrize(
    "module",
    ["rnvp_runtime", *(f"rnvp_runtime.commands.{c}" for c in ("sample", "score", "verify"))],
)
def test_importing_is_light(module: str) -> None:
    """Importing a command loads no numpy, onnxruntime or pyarrow, so --help is fast."""
    code = f"""
import {module}
print(*{{"numpy", "onnxruntime", "pyarrow"}} & sys.modules.keys())
"""
    assert _run(code).strip() == ""


def test_a_missing_extra_is_one_line(tmp_path: Path) -> None:
    """Opening a Parquet file without pyarrow gives an error that names what to install."""
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    code = """
import rnvp_runtime, rnvp_runtime.extras
from rnvp_runtime.tables import open_table
del sys.meta_path[0]
sys.modules["pyarrow"] = None
try:
    open_table(sys.argv[1])
except rnvp_runtime.MissingExtraError as error:
    print(error)
"""
    said = _run(code, str(tmp_path / "t.parquet"))
    assert said.strip() == 'pyarrow is not installed: pip install "rnvp-deploy[tables]"'
