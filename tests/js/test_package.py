"""The npm package: its files, its types and its documented API."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "runtime" / "js"

CONSUMER = """
import { load, BundleError, ClosedError, EngineError, InputError, RnvpError } from "rnvp-runtime";
import { Flow, Matrix } from "rnvp-runtime";
import type { Context, Float, LoadOptions, Manifest, Rows } from "rnvp-runtime";

const options: LoadOptions = {
  ort: new URL("https://example.org/"),
  threads: 1,
  engine: "onnxruntime",
  worker: () => new Worker("worker.js"),
  fetch: (url, init) => fetch(url, { ...init, credentials: "include" }),
};
const flow: Flow = await load("model.rnvp", options);
const { x, logProb } = await flow.sample(10n, { seed: 7n, start: 3, context: [1] });
const n: number = x.shape[0];
const data: Float32Array = x.data;
const float: Float = x.data;
for (const row of x.rows()) row.at(n);
const rows: Rows = [[1, 2], new Float32Array(2)];
const contexts: Context[] = [[1, 2], [[1, 2]], new Float32Array(2), x, { data, shape: [2] }];
for (const context of contexts) await flow.logProb(x, { context });
const nats: Float32Array = await flow.logProb(x);
const { z } = await flow.forward(rows, { context: rows });
const back: Matrix = (await flow.inverse(z)).x;
const names: readonly string[] = flow.columns;
const manifest: Manifest = flow.manifest;
const file: File = new File([], "manifest.json");
await load([file]);
await load(new Map([["manifest.json", new Uint8Array()]]));
const errors: RnvpError[] = [new BundleError(""), new ClosedError(""), new EngineError("")];
await flow.close();
export { float, nats, back, names, manifest, errors, logProb, InputError };

const total: number = (await flow.logProb(x)).reduce((s, v) => s + v, 0);
const double = await load<Float64Array>("double.rnvp");
const wide: Float64Array = (await double.sample(3)).x.data;
const widest: number = (await double.logProb(x)).reduce((s, v) => s + v, 0);
async function either<F extends Float>(flow: Flow<F>): Promise<F> {
  return (await flow.sample(1)).x.row(0);
}
export { total, wide, widest, either };

// Every method of a typed array.
function methods(a: Float32Array, b: Float64Array): unknown[] {
  return [ARRAY_METHODS];
}
export { methods };
export const read = methods((await flow.forward(x)).z.column(0), wide);

// @ts-expect-error a seed is not text
await flow.sample(10, { seed: "7" });
// @ts-expect-error rows are not a flat array
await flow.logProb([1, 2]);
// @ts-expect-error a flow is made by load
new Flow();
// @ts-expect-error the manifest cannot be changed
flow.manifest.dim = 3;
// @ts-expect-error a flow of float32 gives float32 numbers
const narrow: Float64Array = await flow.logProb(x);
// @ts-expect-error there are two float types
await load<Int8Array>("model.rnvp");
"""
METHODS = """
at(0)
copyWithin(0, 1)
entries()
every((v, i, all) => v > i + all.length)
fill(0)
filter((v, i, all) => v > i + all.length)
find((v, i, all) => v > i + all.length)
findIndex((v, i, all) => v > i + all.length)
findLast((v, i, all) => v > i + all.length)
findLastIndex((v, i, all) => v > i + all.length)
forEach((v, i, all) => v > i + all.length)
includes(0)
indexOf(0)
join(", ")
keys()
lastIndexOf(0)
map((v, i, all) => v + i + all.length)
reduce((s, v) => s + v)
reduce((s, v) => s + v, 0)
reduce((s, v) => s + String(v), "")
reduceRight((s, v) => s + v, 0)
reverse()
set([1, 2], 0)
slice(0, 1)
some((v, i, all) => v > i + all.length)
sort((v, w) => v - w)
subarray(0, 1)
toLocaleString()
toReversed()
toSorted((v, w) => v - w)
toString()
values()
with(0, 1)
buffer
byteLength
byteOffset
length
"""
RESOLUTIONS = {
    "bundler": {"module": "esnext", "moduleResolution": "bundler"},
    "node16": {"module": "node16"},
    "nodenext": {"module": "nodenext"},
}


@pytest.fixture
def here(packages: Path) -> Path:
    return PACKAGE


def compiled(here: Path, packages: Path, folder: Path, source: str, **options) -> str:
    """The output of a strict TypeScript compiler for ``source``."""
    folder.mkdir(exist_ok=True)
    (folder / "consumer.mts").write_text(source)
    if not (folder / "node_modules").exists():
        (folder / "node_modules").mkdir()
        (folder / "node_modules" / "rnvp-runtime").symlink_to(here)
    options |= {"target": "es2022", "lib": ["es2023", "dom", "dom.iterable"]}
    options |= {"strict": True, "noEmit": True, "types": [], "skipLibCheck": False}
    config = {"compilerOptions": options, "files": ["consumer.mts"]}
    (folder / "tsconfig.json").write_text(json.dumps(config))
    told = subprocess.run(
        ["node", packages / "typescript" / "bin" / "tsc", "-p", folder],
        capture_output=True,
        text=True,
    )
    return told.stdout + told.stderr


@pytest.mark.parametrize("options", RESOLUTIONS.values(), ids=RESOLUTIONS)
def test_the_types_are_what_a_strict_consumer_needs(here, packages, tmp_path, options) -> None:
    """A strict TypeScript program compiles with the types, and each marked misuse is an error."""
    calls = [f"{array}.{method}" for method in METHODS.split("\n") if method for array in "ab"]
    source = CONSUMER.replace("ARRAY_METHODS", ", ".join(calls))
    assert compiled(here, packages, tmp_path, source, **options) == ""


def test_the_methods_are_those_of_a_typed_array(driver) -> None:
    """The list above has every method of a typed array."""
    names = driver.run(
        "return Object.getOwnPropertyNames(Object.getPrototypeOf(Float32Array).prototype);"
    )
    listed = {re.match(r"\w+", method).group() for method in METHODS.split("\n") if method}
    assert listed == set(names) - {"constructor"}


def test_every_exported_name_is_typed(here, driver) -> None:
    """The module exports exactly the listed names, and index.d.ts declares each of them."""
    types = (here / "src" / "index.d.ts").read_text()
    code = "return Object.keys(await import(args.module));"
    names = driver.run(code, module=str(here / "src" / "index.js"))
    errors = ["BundleError", "ClosedError", "EngineError", "InputError", "RnvpError"]
    assert sorted(names) == sorted([*errors, "Flow", "Matrix", "load"])
    for name in names:
        assert f"export class {name}" in types or f"export function {name}" in types


def test_the_package_holds_its_sources_and_nothing_else(here, packages) -> None:
    """npm pack includes package.json, README.md and the files of src, and no other file."""
    told = subprocess.run(
        ["npm", "pack", "--dry-run", "--json"], cwd=here, capture_output=True, text=True, check=True
    )
    answer = json.loads(told.stdout)
    listing = answer[0] if isinstance(answer, list) else next(iter(answer.values()))
    files = {file["path"] for file in listing["files"]}
    sources = {f"src/{path.name}" for path in (here / "src").iterdir()}
    assert files == {"package.json", "README.md", *sources}


def test_packed_and_installed_it_runs(here, packages, site, tmp_path) -> None:
    """The package runs in a user's project without any other package."""
    subprocess.run(
        ["npm", "pack", "--pack-destination", tmp_path], cwd=here, capture_output=True, check=True
    )
    installed = tmp_path / "node_modules" / "rnvp-runtime"
    installed.mkdir(parents=True)
    (archive,) = tmp_path.glob("*.tgz")
    subprocess.run(["tar", "-xzf", archive, "-C", installed, "--strip-components=1"], check=True)
    (tmp_path / "program.mjs").write_text(
        """
        import { load } from "rnvp-runtime";
        const flow = await load(process.argv[2]);
        const { x } = await flow.sample(3, { seed: 7 });
        console.log(x.shape.join());
        """
    )
    told = subprocess.run(
        ["node", "program.mjs", site("unconditional") / "model.rnvp"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (told.stdout, told.stderr) == ("3,2\n", "")


def test_without_onnxruntime_node_says_what_to_install(here, site, tmp_path) -> None:
    """Without onnxruntime-node, sample rejects with an error that gives the npm command."""
    shutil.copytree(here / "src", tmp_path / "src")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    code = """
        import { load } from "./src/index.js";
        const flow = await load(process.argv[1], { engine: "onnxruntime" });
        await flow.sample(1).catch((error) => console.log(`${error}`));
    """
    told = subprocess.run(
        ["node", "--input-type=module", "-e", code, site("unconditional") / "model.rnvp"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    said = "EngineError: onnxruntime-node is not installed: npm install onnxruntime-node\n"
    assert (told.stdout, told.stderr) == (said, "")


@pytest.fixture(params=["unconditional", "conditional"])
def project(request, here, site, root):
    """A user's folder with the installed package, a bundle and the card's programs."""
    bundle = site(request.param) / "model.rnvp"
    folder = root / "project"
    (folder / "node_modules").mkdir(parents=True)
    (folder / "node_modules" / "rnvp-runtime").mkdir()
    shutil.copytree(here / "src", folder / "node_modules" / "rnvp-runtime" / "src")
    shutil.copy(here / "package.json", folder / "node_modules" / "rnvp-runtime")
    shutil.copytree(bundle, folder / f"{request.param}.rnvp")  # the card uses this name
    yield folder
    shutil.rmtree(folder)


def test_the_cards_browser_program_runs(project, driver, server) -> None:
    """The browser program in the bundle's card runs and shows 1,000 lines."""
    (project / "index.html").write_text(program(project, "html"))
    rows = driver.run(
        """
        const page = await newPage();
        await page.goto(args.url);
        await page.waitForFunction(() => document.querySelector("pre").textContent);
        const text = await page.textContent("pre");
        await page.context().close();
        return text.split("\\n").length;
        """,
        url=f"{server}/{project.name}/index.html",
    )
    assert rows == 1000


def test_the_cards_node_program_runs(project) -> None:
    """The Node program in the bundle's card runs and prints a shape of 1,000 rows."""
    (project / "program.mjs").write_text(program(project, "js"))
    told = subprocess.run(
        ["node", "program.mjs"], cwd=project, capture_output=True, text=True, check=True
    )
    assert told.stdout.startswith("[ 1000, ")


def program(project: Path, language: str) -> str:
    """The first block of ``language`` in the card of the project's bundle."""
    (card,) = project.glob("*.rnvp/README.md")
    return re.search(rf"^```{language}\n(.*?)^```", card.read_text(), re.M | re.S).group(1)
