"""The C and C++ programs give the bits of Python, one line for each mistake, and no leak."""

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from rnvp_runtime.engines import ENGINES
from tests.embedding.exported import Bundle

SOURCES = Path(__file__).parents[2] / "examples" / "c"
LIBRARY = next((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.*"))
TILE = 1024  # rows that the programs ask for at once
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"]
SANITIZE = ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
RELEASED = ["MemoryInfo", "SessionOptions", "Status", "TensorTypeAndShapeInfo", "TypeInfo", "Value"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("c++") is None, reason="there is no C++ compiler"),
]


@dataclass(frozen=True)
class Program:
    """A compiled program; called with its arguments, it runs on the wheel's onnxruntime."""

    path: Path

    def __call__(self, *args: Any, library: Path = LIBRARY) -> subprocess.CompletedProcess[str]:
        """Run the program with onnxruntime's library."""
        command = [str(self.path), *map(str, args)]
        env = {"ORT_LIBRARY": str(library), "PATH": "/usr/bin:/bin"}
        return subprocess.run(command, capture_output=True, text=True, env=env, timeout=300)

    def rows(self, *args: Any, dtype: str = "float32") -> NDArray[Any]:
        """The numbers that it prints (n, dim + 1)."""
        done = self(*args)
        assert (done.returncode, done.stderr) == (0, "")
        lines = [line.split(",") for line in done.stdout.splitlines()]
        return np.array(lines, dtype)


def compiled(folder: Path, source: Path, *flags: str) -> Program:
    """Compile a C11 or C++17 source file with warnings as errors."""
    compiler, standard = ("cc", "c11") if source.suffix == ".c" else ("c++", "c++17")
    out = folder / source.stem
    command = [compiler, f"-std={standard}", *STRICT, *flags]
    paths = ["-I", str(SOURCES), str(source), "-o", str(out)]
    subprocess.run([*command, *paths, "-ldl"], check=True)
    return Program(out)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder where ``make`` has built both programs, every warning an error."""
    folder = shutil.copytree(SOURCES, tmp_path_factory.mktemp("c") / "c")
    subprocess.run(["make", "-s", "-B", "-C", folder], check=True)
    return folder


@pytest.fixture(params=["sample", "sample-cpp"])
def program(request: pytest.FixtureRequest, built: Path) -> Program:
    """The C and the C++ program in turn."""
    return Program(built / request.param)


@pytest.fixture(scope="module")
def slots(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """``slots.c`` with the address sanitizer, which finds leaks too."""
    source = Path(__file__).with_name("slots.c")
    return compiled(tmp_path_factory.mktemp("slots"), source, *SANITIZE)


def written(path: Path, context: NDArray[Any] | None) -> list[Path]:
    """The argument that gives a program its context: a CSV file without a header."""
    if context is None:
        return []
    np.savetxt(path / "context.csv", context, fmt="%.9g", delimiter=",")
    return [path / "context.csv"]


def test_the_samples_equal_those_of_python(
    program: Program, bundle: Bundle, tmp_path: Path
) -> None:
    """In one call of the sampler, the program and ``Flow.sample`` give the same bits."""
    seed, start, n, temperature = -(2**40) - 3, 2**33, 200, 0.75
    context = written(tmp_path, bundle.context(n))
    found = program.rows(
        bundle.path, n, seed, start, temperature, *context, dtype=bundle.flow.manifest.dtype
    )
    x, log_prob = bundle.flow.sample(
        n,
        seed=seed,
        start=start,
        temperature=temperature,
        return_log_prob=True,
        **bundle.with_context(n),
    )
    np.testing.assert_array_equal(found, np.column_stack([x, log_prob]), strict=True)


def test_many_samples_come_in_tiles(
    program: Program, float32_bundle: Bundle, tmp_path: Path
) -> None:
    """10,000 samples are the bits of onnxruntime in Python for the same tiles."""
    n = 10_000
    context = float32_bundle.with_context(n)
    graph = float32_bundle.path / "sampler.onnx"
    run = ENGINES["onnxruntime"].open(graph.read_bytes(), ["x", "log_prob"])
    tiles = []
    for low in range(0, n, TILE):
        scalars = {"seed": 7, "start": low, "count": min(TILE, n - low)}
        feeds: dict[str, NDArray[Any]] = {
            name: np.array(value, np.int64) for name, value in scalars.items()
        }
        feeds |= {"temperature": np.array(1, np.float32)}
        feeds |= {name: rows[low : low + TILE] for name, rows in context.items()}
        tiles.append(np.column_stack(run(feeds)))
    given = written(tmp_path, context.get("context"))
    found = program.rows(float32_bundle.path, n, 7, *([0, 1, *given] if given else []))
    np.testing.assert_array_equal(found, np.concatenate(tiles), strict=True)


def test_one_row_of_context_serves_all_samples(
    program: Program, make: Callable[[str], Bundle], tmp_path: Path
) -> None:
    """The program uses the row for each sample, as Python does."""
    bundle = make("conditional")
    row = np.array([[0.5, -1.25]], np.float32)
    found = program.rows(bundle.path, 50, 7, 0, 1, *written(tmp_path, row))
    np.testing.assert_array_equal(found[:, :-1], bundle.flow.sample(50, seed=7, context=row))


def test_seeds_are_64_bits(program: Program, make: Callable[[str], Bundle]) -> None:
    """−1 and 2⁶⁴ − 1 are the same seed."""
    path = make("unconditional").path
    assert program(path, 9, -1).stdout == program(path, 9, 2**64 - 1).stdout


def test_a_start_cuts_the_stream(program: Program, make: Callable[[str], Bundle]) -> None:
    """The rows agree up to rounding, which may depend on the number of rows in a call."""
    path = make("unconditional").path
    whole, cut = program.rows(path, 9, 7), program.rows(path, 4, 7, 5)
    np.testing.assert_allclose(cut, whole[5:], rtol=1e-5, atol=1e-5)
    assert program(path, 0, 7).stdout == ""


@pytest.mark.parametrize(
    ("kind", "args", "said"),
    [
        ("unconditional", [], "usage: "),
        ("unconditional", [1.5, 7], "N is 1.5, expected a whole number from 0 to 2^63 - 1"),
        ("unconditional", [-1, 7], "N is -1, expected"),
        ("unconditional", [1, 2**64], "SEED is 18446744073709551616, expected -2^63 to 2^64 - 1"),
        ("unconditional", [1, "x"], "SEED is x, expected"),
        ("unconditional", [1, 7, "1e3"], "START is 1e3, expected"),
        ("unconditional", [1, 7, 2**63 - 1], "START + N must be at most 2^63 - 1"),
        ("unconditional", [1, 7, 0, "nan"], "TEMPERATURE is nan, expected a finite number"),
        ("unconditional", [1, 7, 0, 1, "c.csv"], "the flow takes no context"),
        ("conditional", [1, 7], "the flow is conditional: name a CONTEXT.csv"),
        ("conditional", [1, 7, 0, 1, "none.csv"], "cannot read none.csv"),
        ("conditional", [3, 7, 0, 1, "short.csv"], "holds 4 numbers, expected 2, or "),
        ("conditional", [3, 7, 0, 1, "words.csv"], "words.csv: expected a number"),
    ],
)
def test_a_mistake_gives_one_line(
    program: Program,
    make: Callable[[str], Bundle],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    kind: str,
    args: list[Any],
    said: str,
) -> None:
    """The exit code is 1, stdout is empty, and one line says what was found."""
    monkeypatch.chdir(tmp_path)
    Path("short.csv").write_text("1,2\n3,4\n")
    Path("words.csv").write_text("a,b\n1,2\n")
    path = make(kind).path
    refused(program(path, *args), said)


def refused(done: subprocess.CompletedProcess[str], said: str) -> None:
    """Check that a program failed with one line on standard error that contains ``said``."""
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert said in done.stderr


def test_a_folder_that_is_not_a_bundle_is_refused(
    program: Program, make: Callable[[str], Bundle], tmp_path: Path
) -> None:
    """A missing folder, a sampler that is not a graph, and another graph are refused."""
    refused(program(tmp_path / "none.rnvp", 1, 7), "cannot read")
    (tmp_path / "sampler.onnx").write_text("no graph")
    refused(program(tmp_path, 1, 7), "protobuf")
    shutil.copy(make("unconditional").path / "density.onnx", tmp_path / "sampler.onnx")
    refused(program(tmp_path, 1, 7), "sampler")


def test_a_missing_library_is_refused(program: Program, make: Callable[[str], Bundle]) -> None:
    """The error says how to set the path of the library."""
    done = program(make("unconditional").path, 1, 7, library=Path("/nowhere.so"))
    refused(done, "no onnxruntime at /nowhere.so: set ORT_LIBRARY to its shared library")


def test_an_old_library_is_refused(
    program: Program, make: Callable[[str], Bundle], tmp_path: Path
) -> None:
    """The program refuses it before it calls any function of its table."""
    (tmp_path / "old.c").write_text(
        '#include "ort.h"\n'
        "static const OrtApi *api(uint32_t version) {\n"
        "    return version > 17 ? NULL : (const OrtApi *)1;\n}\n"
        'static const char *version(void) { return "1.17.3"; }\n'
        "const OrtApiBase *OrtGetApiBase(void);\n"
        "const OrtApiBase *OrtGetApiBase(void) {\n"
        "    static const OrtApiBase base = {api, version};\n    return &base;\n}\n"
    )
    old = compiled(tmp_path, tmp_path / "old.c", "-shared", "-fPIC", "-Wno-unused-function").path
    done = program(make("unconditional").path, 1, 7, library=old)
    refused(done, f"onnxruntime 1.17.3 at {old} is too old: 1.21 or newer is needed")


def test_every_place_in_the_table_holds_its_function(
    slots: Program, make: Callable[[str], Bundle]
) -> None:
    """The test program calls each function that ort.h names and checks its effect."""
    named = re.findall(r"SLOT\(\d+, (\w+)\)", (SOURCES / "ort.h").read_text())
    done = slots(make("conditional").path / "sampler.onnx")
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(set(done.stdout.split())) == sorted(named)


@pytest.mark.parametrize("kept", RELEASED)
def test_a_release_frees_its_handle(
    slots: Program, make: Callable[[str], Bundle], kept: str
) -> None:
    """Handles of a type leak if they are not released, so the release frees them."""
    done = slots(make("conditional").path / "sampler.onnx", kept)
    assert done.returncode != 0
    assert "LeakSanitizer: detected memory leaks" in done.stderr


@pytest.mark.parametrize("source", ["sample.c", "sample.cpp"])
def test_no_memory_is_misused(source: str, make: Callable[[str], Bundle], tmp_path: Path) -> None:
    """The programs run without an error under the address and undefined-behaviour sanitizers."""
    program = compiled(tmp_path, SOURCES / source, *SANITIZE)
    bundle, n = make("conditional"), 2 * TILE + 1
    program.rows(bundle.path, n, 7, 0, 1, *written(tmp_path, bundle.context(n)))
    refused(program(bundle.path, 1, 7, 0, 1, tmp_path / "none.csv"), "cannot read")
