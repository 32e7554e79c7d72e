"""The hosts: bundlers, frameworks and module systems under which the package must run.

A host lists the npm packages, the files of a small project, the commands that build it, and how
to run it. Every project draws samples with the default engine and scores them with onnxruntime. It
holds ``model.rnvp`` in its public folder, and onnxruntime-web's three files, as the documentation
recommends.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["HOSTS", "ORT", "Host"]


def _main(bundle: str, options: str, ort: str) -> str:
    """The function ``main``: it draws samples of ``bundle`` and scores them."""
    return f"""
async function main() {{
  const options = {options};
  const flow = await load({bundle}, options);
  const {{ x, logProb }} = await flow.sample(4, {{ seed: 7 }});
  await flow.close();
  const other = await load({bundle}, {{ ...options, engine: "onnxruntime", {ort} }});
  const scored = await other.logProb(x);
  await other.close();
  return {{ x: [...x.data], logProb: [...logProb], scored: [...scored] }};
}}
"""


ORT = 'ort: "/onnxruntime/"'


def page(options: str = "{}", ort: str = ORT) -> str:
    """The script of a page; it puts the answer into ``window.answer``."""
    return f"""
import {{ load }} from "rnvp-runtime";
{_main('"/model.rnvp"', options, ort)}
window.answer = main().catch((error) => ({{ error: `${{error}}` }}));
"""


def program(importing: str) -> str:
    """A Node program that prints its answer."""
    return f"""
{importing}
{_main("process.argv[2]", "{}", "")}
main().then((answer) => console.log(JSON.stringify(answer)));
"""


ESM = 'import { load } from "rnvp-runtime";'
REQUIRE = 'const { load } = require("rnvp-runtime");'
HTML = '<!doctype html><script type="module" src="{}"></script>'
CLASSIC = '<!doctype html><body></body><script src="{}"></script>'


@dataclass(frozen=True)
class Host:
    """One way to build and run a project that imports the package.

    Attributes:
        name: The name in the table.
        packages: The arguments of ``npm install``. Hosts with equal packages share a folder.
        files: The text of each file by its path below the project.
        commands: Commands that build the project, in order.
        served: The folder that a static host serves, or None.
        server: The command that serves the project, with ``{port}``, or None.
        program: The command of a Node program that prints its answer, or None.
        public: The folder for the bundle and onnxruntime-web's files.
        worker: Whether the flow must run in a worker if the project is a page.
        needs: The settings that the user must make, for the table.
        tried: Whether the default test run includes it.
    """

    name: str
    packages: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    commands: tuple[str, ...] = ()
    served: str | None = None
    server: str | None = None
    program: str | None = None
    path: str = "/"
    public: str = "public"
    worker: bool = True
    needs: str = ""
    tried: bool = False


def _vite(version: str, tried: bool = False) -> list[Host]:
    packages = (f"vite@{version}",)
    files = {"index.html": HTML.format("/app.js"), "app.js": page()}
    plain = "export default {};"
    excluded = 'export default { optimizeDeps: { exclude: ["rnvp-runtime"] } };'
    major = version.partition(".")[0]
    loses_workers = int(major) < 8
    return [
        Host(
            f"Vite {major}, build",
            packages,
            files | {"vite.config.js": plain},
            ("npx vite build",),
            served="dist",
            tried=tried,
        ),
        Host(
            f"Vite {major}, dev server",
            packages,
            files | {"vite.config.js": excluded if loses_workers else plain},
            server="npx vite --host 127.0.0.1 --port {port} --strictPort",
            needs="`optimizeDeps.exclude`" if loses_workers else "",
            tried=tried,
        ),
    ]


def _webpack(version: str, tried: bool = False) -> list[Host]:
    packages = (f"webpack@{version}", "webpack-cli@6")
    config = {"mode": "production", "entry": "./app.js", "output": {"clean": False}}
    node = config | {"target": "node", "output": {"filename": "program.cjs"}}
    short = ".".join(version.split(".")[:2])
    return [
        Host(
            f"webpack {short}, page",
            packages,
            {
                "app.js": page(),
                "dist/index.html": CLASSIC.format("main.js"),
                "webpack.config.cjs": f"module.exports = {json.dumps(config)};",
            },
            ("npx webpack -c webpack.config.cjs",),
            served="dist",
            public="dist",
            tried=tried,
        ),
        Host(
            f"webpack {short}, Node",
            packages,
            {
                "app.js": program(ESM),
                "webpack.node.cjs": f"module.exports = {json.dumps(node)};",
            },
            ("npx webpack -c webpack.node.cjs",),
            program="node dist/program.cjs {bundle}",
        ),
    ]


NEXT_PAGE = """
"use client";
import { useEffect } from "react";
import { load } from "rnvp-runtime";
MAIN
export default function Page() {
  useEffect(() => { window.answer = main().catch((error) => ({ error: `${error}` })); }, []);
  return null;
}
""".replace("MAIN", _main('"/model.rnvp"', "{}", ORT))
NEXT_ROUTE = """
import { load } from "rnvp-runtime";
export const dynamic = "force-dynamic";
MAIN
export const GET = async () => Response.json(await main());
""".replace("MAIN", _main("process.env.RNVP_BUNDLE", "{}", ""))
NEXT_LAYOUT = """
export default function Layout({ children }) {
  return <html lang="en"><body>{children}</body></html>;
}
"""


def _next(version: str) -> list[Host]:
    packages = (f"next@{version}", "react@19", "react-dom@19")
    files = {
        "app/layout.js": NEXT_LAYOUT,
        "app/page.js": NEXT_PAGE,
        "app/api/route.js": NEXT_ROUTE,
        "next.config.mjs": "export default {};",
    }
    major = version.partition(".")[0]
    serving = "npx next {} -H 127.0.0.1 -p {{port}}"
    build, dev, start = "npx next build", serving.format("dev"), serving.format("start")
    hosts = [
        Host(f"Next {major}, build, page", packages, files, (build,), server=start),
        Host(f"Next {major}, build, route", packages, files, (build,), server=start, path="/api"),
        Host(f"Next {major}, dev server, page", packages, files, server=dev),
        Host(f"Next {major}, dev server, route", packages, files, server=dev, path="/api"),
    ]
    if major == "16":
        hosts.append(
            Host(
                f"Next {major}, build with webpack, page",
                packages,
                files,
                (f"{build} --webpack",),
                server=start,
            )
        )
    return hosts


ESBUILD = ("esbuild@0.28.2",)
ROLLUP = ("rollup@4.68.8", "@rollup/plugin-node-resolve@16")
ROLLUP_CONFIG = """
import resolve from "@rollup/plugin-node-resolve";
export default {
  input: { app: "app.js", worker: "rnvp-runtime/worker" },
  output: { dir: "dist", format: "es", entryFileNames: "[name].js" },
  plugins: [resolve({ browser: true })],
};
"""
WORKER_ENTRY = "node_modules/rnvp-runtime/src/worker.js"

HOSTS: tuple[Host, ...] = (
    *_vite("5.4.21"),
    *_vite("6.4.6"),
    *_vite("7.3.8"),
    *_vite("8.3.8", tried=True),
    *_webpack("5.105.4"),
    *_webpack("5.109.2", tried=True),
    *_next("15.5.29"),
    *_next("16.4.6"),
    Host(
        "esbuild, IIFE for a page",
        ESBUILD,
        {"app.js": page(), "dist/index.html": CLASSIC.format("app.js")},
        ("npx esbuild app.js --bundle --format=iife --outfile=dist/app.js",),
        served="dist",
        public="dist",
        worker=False,
        needs="nothing; it runs on the page's thread",
        tried=True,
    ),
    Host(
        "esbuild, IIFE for a page, with a worker",
        ESBUILD,
        {
            "app.js": page('{ worker: "/worker.js" }'),
            "dist/index.html": CLASSIC.format("app.js"),
        },
        (
            "npx esbuild app.js --bundle --format=iife --outfile=dist/app.js",
            f"npx esbuild {WORKER_ENTRY} --bundle --format=esm --outfile=dist/worker.js",
        ),
        served="dist",
        public="dist",
        needs="the worker as a second entry, and its URL as `worker`",
    ),
    Host(
        "esbuild, ES module for a page",
        ESBUILD,
        {"app.js": page(), "dist/index.html": HTML.format("app.js")},
        (f"npx esbuild app.js worker={WORKER_ENTRY} --bundle --format=esm --outdir=dist",),
        served="dist",
        public="dist",
        needs="the worker as a second entry called `worker`",
    ),
    Host(
        "esbuild, CommonJS for Node",
        ESBUILD,
        {"app.js": program(ESM)},
        ("npx esbuild app.js --bundle --platform=node --format=cjs --outfile=dist/program.cjs",),
        program="node dist/program.cjs {bundle}",
        tried=True,
    ),
    Host(
        "Electron-style: a main process in CommonJS, bundled by esbuild",
        ESBUILD,
        {"app.js": program(REQUIRE)},
        (
            "npx esbuild app.js --bundle --platform=node --format=cjs --external:electron"
            " --external:onnxruntime-node --outfile=dist/main.cjs",
        ),
        program="node dist/main.cjs {bundle}",
    ),
    Host(
        "rollup, page",
        ROLLUP,
        {
            "app.js": page(),
            "dist/index.html": HTML.format("app.js"),
            "rollup.config.mjs": ROLLUP_CONFIG,
        },
        ("npx rollup -c rollup.config.mjs",),
        served="dist",
        public="dist",
        needs="the worker as a second input called `worker`",
        tried=True,
    ),
    Host(
        "no bundler, page",
        ("onnxruntime-web@1.30.0",),
        {
            "index.html": HTML.format("app.js"),
            "app.js": page(ort="").replace(
                '"rnvp-runtime"', '"./node_modules/rnvp-runtime/src/index.js"'
            ),
        },
        served=".",
        public=".",
        needs="nothing",
    ),
    Host(
        "Node, ES module",
        files={"program.mjs": program(ESM)},
        program="node program.mjs {bundle}",
        tried=True,
    ),
    Host(
        "Node, CommonJS with require",
        files={"program.cjs": program(REQUIRE)},
        program="node program.cjs {bundle}",
        needs="Node 20.19 or 22.12",
        tried=True,
    ),
    Host(
        "Node, CommonJS with import()",
        files={
            "program.cjs": program(
                'const load = async (...given) => (await import("rnvp-runtime")).load(...given);'
            )
        },
        program="node program.cjs {bundle}",
    ),
    Host(
        "Bun 1.4, ES module",
        ("bun@1.4.5",),
        {"program.mjs": program(ESM)},
        program="npx bun program.mjs {bundle}",
    ),
)
