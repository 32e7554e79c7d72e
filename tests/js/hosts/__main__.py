"""Build and run every host, and write the table of results.

    python -m tests.js.hosts                       all hosts
    python -m tests.js.hosts Vite esbuild          those whose name contains a word
    python -m tests.js.hosts --write docs/hosts-javascript.md

``tests/js/setup.sh`` installs Node's packages and Chromium first. The bundlers are installed by npm
into ``.cache/js-hosts`` and kept there.
"""

import datetime
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).parents[1]))

from bundles import export
from driving import Driver

from .project import Failed, Kit, check
from .table import HOSTS, Host

CACHE = Path(__file__).parents[3] / ".cache" / "js-hosts"

HEAD = """# JavaScript hosts

`python -m tests.js.hosts --write docs/hosts-javascript.md` builds a small project with each
bundler, runs it, and compares its samples and log-densities with Python's. It draws with the
default engine, native, without options, and scores with onnxruntime, in a page with
`{{engine: "onnxruntime", ort: "/onnxruntime/"}}`. In a page the flow must run in a worker, unless
the table says otherwise. The column "also needs" lists what else a project sets. The recipes are in
[javascript.md](javascript.md#bundlers).

Last run: {date}, Node {node}, {chromium}, {system}.

| host | result | also needs |
|---|---|---|
"""


@click.command()
@click.argument("words", nargs=-1)
@click.option("--write", type=click.Path(path_type=Path), help="Write the table to this file.")
def main(words: tuple[str, ...], write: Path | None) -> None:
    """Build and run the hosts whose name contains one of WORDS; all without WORDS."""
    chosen = [h for h in HOSTS if not words or any(w.lower() in h.name.lower() for w in words)]
    chromium = os.environ.get("RNVP_CHROMIUM") or shutil.which("chromium") or "chromium"
    driver = Driver({**os.environ, "RNVP_CHROMIUM": chromium})
    with tempfile.TemporaryDirectory() as folder:
        export(Path(folder) / "model.rnvp", dim=2)
        kit = Kit(driver, Path(folder) / "model.rnvp", CACHE)
        results = [_tried(host, kit) for host in chosen]
    driver.close()
    if write:
        write.write_text(_table(chosen, results, chromium), encoding="utf-8")
    raise SystemExit(any(results))


def _tried(host: Host, kit: Kit) -> str:
    """The fault of ``host``; empty if it runs."""
    began = time.monotonic()
    try:
        check(host, kit)
        fault = ""
    except (Failed, OSError, subprocess.SubprocessError) as error:
        fault = str(error)
    click.echo(f"{host.name}: {fault or 'runs'} ({time.monotonic() - began:.0f} s)")
    return fault


def _table(hosts: list[Host], faults: list[str], chromium: str) -> str:
    def told(*command: str) -> str:
        answer = subprocess.run(command, capture_output=True, text=True, check=True)
        return answer.stdout.strip()

    head = HEAD.format(
        date=datetime.date.today().isoformat(),
        node=told("node", "--version").removeprefix("v"),
        chromium=" ".join(told(chromium, "--version", "--no-sandbox").split()[:2]),
        system=f"{platform.system()} {platform.machine()}",
    )
    rows = [
        f"| {host.name} | {'runs' if not fault else 'fails: ' + _brief(fault)} | {host.needs} |"
        for host, fault in zip(hosts, faults, strict=True)
    ]
    return head + "\n".join(rows) + "\n"


def _brief(fault: str) -> str:
    return " ".join(fault.split())[:120].replace("|", "\\|")


if __name__ == "__main__":
    main()
