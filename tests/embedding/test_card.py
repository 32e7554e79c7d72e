"""The programs in the model card are extracted from a written card and run."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from rnvp_exporters.bundle.card import programs, programs_not_run
from tests.embedding.exported import Bundle

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
LIBRARY = next((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.*"))
JS = ROOT / "runtime" / "js"
N, SEED = 1000, 7  # what every program in the card asks for
NOT_RUN = ("Java", "C#", "Rust", "Go", "Swift")


def code(bundle: Bundle, language: str) -> list[str]:
    """The card's blocks in ``language``."""
    card = (bundle.path / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", card, re.DOTALL | re.MULTILINE)


def samples(bundle: Bundle) -> tuple[NDArray[Any], NDArray[Any]]:
    """The samples that every program should give. The context, if there is one, is 0."""
    context = np.zeros(bundle.flow.context_dim) if bundle.flow.context_dim else None
    return bundle.flow.sample(N, seed=SEED, context=context, return_log_prob=True)


@pytest.mark.parametrize("which", [0, 1], ids=["rnvp_runtime", "onnxruntime alone"])
def test_python(bundle: Bundle, which: int, tmp_path: Path) -> None:
    """Both programs give the samples, and no warning."""
    program = code(bundle, "python")[which]
    (tmp_path / "program.py").write_text(
        f"{program}\nimport numpy\nnumpy.savez({str(tmp_path / 'out.npz')!r}, x, log_prob)\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-W", "error", str(tmp_path / "program.py")]
    subprocess.run(command, check=True, cwd=bundle.path.parent)
    with np.load(tmp_path / "out.npz") as found:
        for got, expected in zip(found.values(), samples(bundle), strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


def test_shell(bundle: Bundle, tmp_path: Path) -> None:
    """The lines that verify, sample and score exit with 0 and write their files."""
    flow = bundle.flow
    shutil.copytree(bundle.path, tmp_path / bundle.path.name)
    columns = [*flow.columns, *flow.context_columns]
    table = np.zeros((5, len(columns)))
    header = ",".join(columns)
    np.savetxt(tmp_path / "table.csv", table, delimiter=",", header=header, comments="")
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    [lines] = code(bundle, "sh")
    subprocess.run(["sh", "-e", "-c", lines], check=True, cwd=tmp_path, env={"PATH": path})
    drawn = np.loadtxt(tmp_path / "samples.csv", delimiter=",", skiprows=1)
    np.testing.assert_allclose(drawn[:, : flow.dim], samples(bundle)[0], rtol=1e-4, atol=1e-4)
    scored = (tmp_path / "scored.csv").read_text().splitlines()
    assert scored[0].endswith("log_prob")
    assert len(scored) == 1 + (5 if flow.context_dim else N)


@pytest.mark.skipif(shutil.which("c++") is None, reason="there is no C++ compiler")
@pytest.mark.parametrize("compiler", ["cc -std=c11", "c++ -std=c++17 -x c++"])
def test_c_and_cpp(bundle: Bundle, compiler: str, tmp_path: Path) -> None:
    """The program compiles as C and as C++, with ort.h in place of the header."""
    (tmp_path / "onnxruntime_c_api.h").write_text(
        "#ifndef STAND_IN\n#define STAND_IN\n"
        '#include "ort.h"\n'
        "#define ORT_API_VERSION ORT_LEAST\n"
        '#ifdef __cplusplus\nextern "C"\n#endif\n'
        "const OrtApiBase *OrtGetApiBase(void);\n"
        "#endif\n"
    )
    [program] = code(bundle, "c")
    (tmp_path / "sample.c").write_text(program, encoding="utf-8")
    strict = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I.", f"-I{ROOT / 'examples' / 'c'}"]
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):  # what linkers and loaders look for
        (tmp_path / name).symlink_to(LIBRARY)
    link = ["-L.", "-lonnxruntime", "-ldl", f"-Wl,-rpath,{tmp_path}"]
    built = [*compiler.split(), *strict, "sample.c", "-o", "sample", *link]
    subprocess.run(built, check=True, cwd=tmp_path)
    done = subprocess.run(
        [tmp_path / "sample"], check=True, capture_output=True, text=True, cwd=bundle.path.parent
    )
    found = np.array([line.split(",") for line in done.stdout.splitlines()], float)
    np.testing.assert_allclose(found, samples(bundle)[0], rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(
    shutil.which("node") is None or not (JS / "node_modules" / "onnxruntime-node").exists(),
    reason="needs node, and `npm ci` in runtime/js",
)
def test_node(bundle: Bundle, tmp_path: Path) -> None:
    """The program finds the package and prints the first log_prob."""
    [program] = code(bundle, "js")
    shutil.copytree(bundle.path, tmp_path / bundle.path.name)
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "rnvp-runtime").symlink_to(JS)
    (tmp_path / "program.mjs").write_text(program, encoding="utf-8")
    done = subprocess.run(
        ["node", "program.mjs"], check=True, capture_output=True, text=True, cwd=tmp_path
    )
    shape, _, log_prob = done.stdout.strip().rpartition(" ")
    assert shape == f"[ {N}, {bundle.flow.dim} ]"
    np.testing.assert_allclose(float(log_prob), samples(bundle)[1][0], rtol=1e-4, atol=1e-4)


def test_a_card_has_only_programs_that_were_run(make: Callable[[str], Bundle]) -> None:
    """The card names the page with these programs, which says that they are not tested."""
    card = (make("conditional").path / "README.md").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "embedding.md").read_text(encoding="utf-8")
    languages = ("java", "csharp", "rust", "go", "swift")
    assert not re.search(rf"^```({'|'.join(languages)})$", card, re.MULTILINE)
    assert "`docs/embedding.md`" in card
    for language in NOT_RUN:
        assert f"**{language}**, not tested" in page
    assert "OpenVINO computes it in 32 bits **and raises no\nerror" in card


@pytest.mark.parametrize("part", [programs, programs_not_run])
def test_the_page_has_the_same_programs(part: Callable[..., str]) -> None:
    """docs/embedding.md holds both parts for a flow of two columns, word for word."""
    page = (ROOT / "docs" / "embedding.md").read_text(encoding="utf-8")
    assert part("model.rnvp", 2).strip() in page
