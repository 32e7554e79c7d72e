"""onnxruntime-node writes no file and looks up no host unless the user enables telemetry.

onnxruntime 1.29 and newer has telemetry on by default. A small library, loaded before the C
library, records name look-ups and refuses each of them.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import needed

SPY = r"""
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **found) {
  FILE *log = fopen(getenv("SPY_LOG"), "a");
  if (log) { fprintf(log, "%s\n", node ? node : ""); fclose(log); }
  return EAI_FAIL;
}
"""
PROGRAM = """
import { load } from "rnvp-runtime";
const flow = await load(process.argv[2], { engine: "onnxruntime" });
await flow.sample(3);
await new Promise((resolve) => setTimeout(resolve, 1000 * process.argv[3]));
await flow.close();
console.log(process.env.ORT_DISABLE_TELEMETRY);
"""


@pytest.fixture
def traces(packages, site, tmp_path):
    """Return a function that samples in Node and returns the files written and names looked up."""
    needed("A C compiler", shutil.which("cc") is not None)
    (tmp_path / "spy.c").write_text(SPY)
    library = tmp_path / "spy.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, tmp_path / "spy.c"], check=True)
    modules = tmp_path / "node_modules"
    modules.mkdir()
    (modules / "rnvp-runtime").symlink_to(packages.parent)
    (tmp_path / "program.mjs").write_text(PROGRAM)

    def run(seconds: int, **variables: str) -> tuple[list[str], list[str], str]:
        home, log = tmp_path / "home", tmp_path / "log"
        home.mkdir()
        log.touch()
        hidden = ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")
        environment = {key: v for key, v in os.environ.items() if key not in hidden}
        environment |= {"HOME": str(home), "LD_PRELOAD": str(library), "SPY_LOG": str(log)}
        bundle = site("unconditional") / "model.rnvp"
        told = subprocess.run(
            ["node", tmp_path / "program.mjs", bundle, str(seconds)],
            env=environment | variables,
            check=True,
            capture_output=True,
            text=True,
        )
        return files(home), log.read_text().split(), told.stdout.strip()

    return run


def files(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]


def test_no_file_is_written_and_no_name_is_looked_up(traces) -> None:
    """Sampling writes no file to the home folder, looks up no host and disables telemetry."""
    assert traces(seconds=2) == ([], [], "1")


@pytest.mark.slow
def test_no_name_is_looked_up_later(traces) -> None:
    """With telemetry on, the first look-up comes after about 10 s."""
    assert traces(seconds=20) == ([], [], "1")


def test_what_the_user_has_set_is_kept(traces) -> None:
    """This also shows that the tests above can fail."""
    written, _, value = traces(seconds=2, ORT_DISABLE_TELEMETRY="0")
    assert value == "0"
    if not written:
        pytest.skip("this onnxruntime-node has no telemetry")
