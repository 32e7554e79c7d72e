"""Stops a release whose tag is not the version in the files: check_tag.py v1.2.3.

npm writes the candidate 1.2.3rc1 of Python as 1.2.3-rc.1.
"""

import json
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def versions() -> dict[str, str]:
    """The version that each file says."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    package = json.loads((ROOT / "runtime/js/package.json").read_text(encoding="utf-8"))
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    cited = re.search(r"^version: (\S+)$", citation, re.MULTILINE)
    return {
        "pyproject.toml": project["version"],
        "runtime/js/package.json": re.sub(r"-(a|b|rc)\.(\d+)$", r"\1\2", package["version"]),
        "CITATION.cff": cited[1] if cited else "",
    }


if __name__ == "__main__":
    wanted = sys.argv[1].removeprefix("v")
    if wrong := {file: found for file, found in versions().items() if found != wanted}:
        sys.exit(f"the tag is v{wanted}, but found {wrong}: change the files or the tag")
