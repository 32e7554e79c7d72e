"""Run JavaScript for a test in Node or in a page of Chromium."""

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Driver", "JavaScriptError", "Place"]


class JavaScriptError(Exception):
    """The error that the code threw."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name, self.message = name, message


class Driver:
    """One process of ``driver.mjs``, which runs one piece of code after another."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            ["node", str(Path(__file__).with_name("driver.mjs"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def run(self, code: str, /, **args: Any) -> Any:
        """Return what ``code`` returns, with typed arrays as numpy arrays.

        Raises
        ------
        JavaScriptError
            The code threw an error.
        """
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"code": code, "args": args}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline(), object_hook=_unpacked)
        if "error" in answer:
            raise JavaScriptError(**answer["error"])
        return answer["result"]

    def close(self) -> None:
        """End the process and its browser."""
        self._process.communicate()


class Place:
    """An environment for code that uses ``load``.

    Call ``place.run(code, source, **args)``.
    """

    def __init__(self, driver: Driver, server: str, kind: str) -> None:
        self.kind = kind
        self._driver, self._server = driver, server

    def source(self, site: Path) -> str:
        """The argument of ``load`` for the bundle of the page at ``site``."""
        if self.kind == "node":
            return str(site / "model.rnvp")
        return f"{self._server}/{site.name}/model.rnvp"

    def run(self, code: str, site: Path, **args: Any) -> Any:
        """What the function body ``code`` returns, given ``args``, ``args.source`` and ``load``."""
        args["source"] = self.source(site)
        if self.kind == "node":
            return self._driver.run(code, **args)
        return self._driver.run(
            """
            const page = await newPage();
            try {
              await page.goto(args.root + "icon.svg");
              const answer = await page.evaluate(async ({ root, inner, args }) => {
                const { load } = await import(root + "rnvp-runtime/src/index.js");
                const ort = new URL(args.source + "/../onnxruntime-web/dist/ort.wasm.min.js");
                const near = (bundle, options) =>
                  load(bundle, options?.engine === "native" ? options : { ort, ...options });
                const body = new (async () => {}).constructor("args", "load", inner);
                try { return { result: packed(await body(args, near)) }; }
                catch (error) { return { error: { name: error.name, message: error.message } }; }
              }, args);
              if (answer.error) throw Object.assign(new Error(answer.error.message), answer.error);
              return answer.result;
            } finally { await page.context().close(); }
            """,
            inner=code,
            args=args,
            root=f"{self._server}/{site.name}/",
        )


def _unpacked(found: dict[str, Any]) -> Any:
    if found.keys() == {"dtype", "base64"}:
        return np.frombuffer(base64.b64decode(found["base64"]), found["dtype"])
    return found
