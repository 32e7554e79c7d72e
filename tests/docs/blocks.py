"""The code blocks of a page of the documentation, which run from top to bottom."""

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Block", "blocks", "run_block"]

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the line number of its first line."""

    language: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of ``page`` that name a language."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(found[1], found[2], text[: found.start(2)].count("\n") + 1)
        for found in re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    ]


def run_block(block: Block, folder: Path, replaced: dict[str, str] | None = None) -> None:
    """Run a block of sh or Python in ``folder``.

    A Python block that begins with a comment such as ``# mymodule.py`` is saved under that name.
    The page of `python -m http.server` is fetched before the server is stopped.

    Args:
        block: The block.
        folder: The current folder of the commands.
        replaced: Texts of the block and their replacements, which save time.
    """
    text = block.text
    for old, new in (replaced or {}).items():
        text = text.replace(old, new)
    if block.language == "python":
        if name := re.match(r"# (\w+\.py)\n", text):
            (folder / name[1]).write_text(text, encoding="utf-8")
            return
        _run([sys.executable, "-c", text], folder)
    for line in text.splitlines() if block.language == "sh" else ():
        if line.startswith("python -m http.server"):
            _serve(line, folder)
        else:
            _run(["sh", "-e", "-c", line], folder)


def _environment() -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path}


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(
        command, cwd=folder, env=_environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command[-1]}\n{done.stdout}{done.stderr}"


def _serve(line: str, folder: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [*line.split("#")[0].split(), "--bind", "127.0.0.1", str(port)]
    command[0] = sys.executable
    server = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL)
    try:
        for attempt in range(100):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/index.html") as page:
                    assert b"<html" in page.read()
                return
            except OSError:
                assert attempt < 99, "the server does not answer"
                time.sleep(0.1)
    finally:
        server.kill()
        server.wait()
