"""A web developer who was given a bundle: a page on a static host, without PyTorch.

    python examples/journeys/web_developer.py BUNDLE FOLDER

Needs the plain install.
"""

import json
import subprocess
import sys
import threading
import urllib.request
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def run(*command: object) -> None:
    print("$", *command, flush=True)
    subprocess.run([str(part) for part in command], check=True)


def main(bundle: Path, folder: Path) -> None:
    site = folder / "site"
    run("rnvp-inspect", bundle)
    run("rnvp-verify", bundle)
    run("rnvp-web", bundle, site)
    # What python -m http.server --directory site serves; any static host will do.
    handler = partial(SimpleHTTPRequestHandler, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        with urllib.request.urlopen(f"{address}/index.html") as page:
            assert b"<html" in page.read(), "the page is served"
        with urllib.request.urlopen(f"{address}/model.rnvp/manifest.json") as manifest:
            flow = json.load(manifest)["flow"]
        server.shutdown()
    print(f"\n{site} is ready for a static host: {flow['description']}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
