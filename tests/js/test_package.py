"""The npm package: what is in it, that its types hold, and that its API is the documented one."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "runtime" / "js"

CONSUMER = """
import { load, BundleError, InputError, RnvpError, Flow, Matrix } from "rnvp-runtime";
import type { Float, Manifest, Rows } from "rnvp-runtime";

const flow: Flow = await load("model.rnvp", { ort: new URL("https://example.org/"), threads: 1 });
const { x, logProb } = await flow.sample(10n, { seed: 7n, start: 3, context: [1] });
const n: number = x.shape[0];
const data: Float = x.data;
for (const row of x.rows()) row.at(n);
const rows: Rows = [[1, 2], new Float32Array(2)];
const nats: Float = await flow.logProb(x);
const { z } = await flow.forward(rows, { context: rows });
const back: Matrix = (await flow.inverse(z)).x;
const names: readonly string[] = flow.columns;
const manifest: Manifest = flow.manifest;
const file: File = new File([], "manifest.json");
await load([file]);
await load(new Map([["manifest.json", new Uint8Array()]]));
const error: RnvpError = new BundleError("");
await flow.close();
export { data, nats, back, names, manifest, error, logProb, InputError };

// @ts-expect-error a seed is no text
await flow.sample(10, { seed: "7" });
// @ts-expect-error rows are no flat array
await flow.logProb([1, 2]);
// @ts-expect-error a flow is made by load
new Flow();
// @ts-expect-error the manifest cannot be changed
flow.manifest.dim = 3;
"""


@pytest.fixture
def here(packages: Path) -> Path:
    return PACKAGE


def test_the_types_are_what_a_strict_consumer_needs(here, packages, tmp_path) -> None:
    (tmp_path / "consumer.mts").write_text(CONSUMER)
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "rnvp-runtime").symlink_to(here)
    options = {"module": "nodenext", "target": "es2022", "lib": ["es2022", "dom"]}
    options |= {"strict": True, "noEmit": True, "types": [], "skipLibCheck": False}
    config = {"compilerOptions": options, "files": ["consumer.mts"]}
    (tmp_path / "tsconfig.json").write_text(json.dumps(config))
    told = subprocess.run(
        ["node", packages / "typescript" / "bin" / "tsc", "-p", tmp_path],
        capture_output=True,
        text=True,
    )
    assert told.stdout + told.stderr == ""


def test_every_exported_name_is_typed(here, driver) -> None:
    types = (here / "src" / "index.d.ts").read_text()
    code = "return Object.keys(await import(args.module));"
    names = driver.run(code, module=str(here / "src" / "index.js"))
    errors = ["BundleError", "ClosedError", "EngineError", "InputError", "RnvpError"]
    assert sorted(names) == sorted([*errors, "Flow", "Matrix", "load"])
    for name in names:
        assert f"export class {name}" in types or f"export function {name}" in types


def test_the_package_holds_its_sources_and_nothing_else(here, packages) -> None:
    told = subprocess.run(
        ["npm", "pack", "--dry-run", "--json"], cwd=here, capture_output=True, text=True, check=True
    )
    answer = json.loads(told.stdout)
    listing = answer[0] if isinstance(answer, list) else next(iter(answer.values()))
    files = {file["path"] for file in listing["files"]}
    sources = {f"src/{path.name}" for path in (here / "src").iterdir()}
    assert files == {"package.json", "README.md", *sources}


def test_packed_and_installed_it_runs(here, packages, site, tmp_path) -> None:
    """As a user's project has it: the package, and onnxruntime-node beside it."""
    subprocess.run(
        ["npm", "pack", "--pack-destination", tmp_path], cwd=here, capture_output=True, check=True
    )
    installed = tmp_path / "node_modules" / "rnvp-runtime"
    installed.mkdir(parents=True)
    (archive,) = tmp_path.glob("*.tgz")
    subprocess.run(["tar", "-xzf", archive, "-C", installed, "--strip-components=1"], check=True)
    for name in ("onnxruntime-node", "onnxruntime-common"):
        (tmp_path / "node_modules" / name).symlink_to(packages / name)
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
    shutil.copytree(here / "src", tmp_path / "src")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    code = """
        import { load } from "./src/index.js";
        const flow = await load(process.argv[1]);
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
def project(request, here, packages, site, root):
    """A user's folder: the packages where npm puts them, a bundle, and its card's programs."""
    bundle = site(request.param) / "model.rnvp"
    folder = root / "project"
    (folder / "node_modules").mkdir(parents=True)
    (folder / "node_modules" / "rnvp-runtime").mkdir()
    shutil.copytree(here / "src", folder / "node_modules" / "rnvp-runtime" / "src")
    shutil.copy(here / "package.json", folder / "node_modules" / "rnvp-runtime")
    for name in ("onnxruntime-node", "onnxruntime-common", "onnxruntime-web"):
        (folder / "node_modules" / name).symlink_to(packages / name)
    shutil.copytree(bundle, folder / f"{request.param}.rnvp")  # the name that the card gives it
    yield folder
    shutil.rmtree(folder)


def test_the_cards_browser_program_runs(project, driver, server) -> None:
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
    (project / "program.mjs").write_text(program(project, "js"))
    told = subprocess.run(
        ["node", "program.mjs"], cwd=project, capture_output=True, text=True, check=True
    )
    assert told.stdout.startswith("[ 1000, ")


def program(project: Path, language: str) -> str:
    """The first block of ``language`` in the card of the project's bundle."""
    (card,) = project.glob("*.rnvp/README.md")
    return re.search(rf"^```{language}\n(.*?)^```", card.read_text(), re.M | re.S).group(1)
