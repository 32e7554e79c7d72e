"""Try every engine in an environment of its own, and write docs/engines.md.

python -m tests.engines                  print the table
python -m tests.engines --write          put it into docs/engines.md
python -m tests.engines tract OpenCV     these engines alone
"""

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from tests.engines.peers import PEERS
from tests.engines.trial import CRASHED, RIGHT, Outcome
from tests.pages import write_measured
from tests.versions import bundles

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "engines.md"
GRAPHS = ("density", "inverse", "gradient", "sampler")


def tried(name: str, written: list[Path], folder: Path) -> tuple[str, list[Outcome]]:
    """The version of an engine and its outcomes, from an environment made for it in ``folder``."""
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    install: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "numpy", "click"]
    subprocess.run([*install, *PEERS[name].requirements], check=True)
    paths = os.pathsep.join([str(ROOT), str(ROOT / "runtime")])
    done = subprocess.run(
        [python, "-m", "tests.engines.trial", name, *written],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        kinds = [path.stem for path in written]
        return "", [Outcome(kind, graph, CRASHED, last) for kind in kinds for graph in GRAPHS]
    answer = json.loads(done.stdout.splitlines()[-1])
    return answer["version"], [Outcome(**found) for found in answer["outcomes"]]


def cell(outcomes: list[Outcome], graph: str) -> str:
    """One word for a graph if all bundles agree; otherwise each other word with its bundle."""
    words = {found.bundle: found.word for found in outcomes if found.graph == graph}
    if len(set(words.values())) == 1:
        return next(iter(words.values()))
    usual = RIGHT if RIGHT in words.values() else min(words.values())
    others = [f"{word} ({bundle})" for bundle, word in words.items() if word != usual]
    return "; ".join([usual, *others])


def table(found: dict[str, tuple[str, list[Outcome]]]) -> str:
    """The rows of the engines, and below them the reasons of refusals and wrong results."""
    lines = [f"| engine | version | {' | '.join(GRAPHS)} |", "|---" * (2 + len(GRAPHS)) + "|"]
    reasons: list[str] = []
    for name, (version, outcomes) in found.items():
        cells = " | ".join(cell(outcomes, graph) for graph in GRAPHS)
        lines.append(f"| {name} | {version} | {cells} |")
        told: dict[str, str] = {}
        for one in outcomes:
            if one.detail:
                told.setdefault(one.graph, f"- {name}, {one.graph} ({one.bundle}): `{one.detail}`")
        reasons += told.values()
    when = f"{datetime.date.today()}, {platform.system()} {platform.machine()}"
    python = f"Python {platform.python_version()}"
    return "\n".join([*lines, "", f"Measured on {when}, {python}. Why:", "", *reasons])


def main() -> None:
    """Try the engines, print the table, and write it if asked."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.engines",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("engines", nargs="*", metavar="ENGINE", help=", ".join(PEERS))
    parser.add_argument("--write", action="store_true", help="put the table into docs/engines.md")
    options = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundles.write(folder)
        written = sorted(folder.glob("*.rnvp"))
        for i, engine in enumerate(options.engines or PEERS):
            print(f"{engine} …", file=sys.stderr)
            found[engine] = tried(engine, written, folder / f"venv{i}")
    text = table(found)
    print(text)
    if options.write:
        write_measured(PAGE, "tests.engines", text)


if __name__ == "__main__":
    main()
