"""``rnvp-verify``: whether a bundle is complete and gives the right numbers on this machine."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from rnvp_runtime.engines import ENGINES
from rnvp_runtime.errors import BundleError
from rnvp_runtime.terminal.printable import printable
from rnvp_runtime.terminal.user_errors import UserErrorCommand


@click.command(cls=UserErrorCommand)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--engine",
    type=click.Choice(list(ENGINES)),
    help="What runs the test vectors. The default is every engine that serves calls of the bundle: "
    "onnxruntime, and the native one where the bundle has flow.bin.",
)
@click.option(
    "--key",
    metavar="PUB",
    type=click.Path(path_type=Path),
    help="The public key, in PEM, with which BUNDLE must be signed; needs the extra sign.",
)
@click.option("--json", "as_json", is_flag=True, help="All checks as JSON on stdout.")
@click.version_option(package_name="rnvp-deploy")
def verify(bundle: Path, engine: str | None, key: Path | None, as_json: bool) -> None:
    """Check every file of BUNDLE, then run its test vectors here.

    Files are compared with the sizes and hashes in the manifest. Outputs are compared with those
    stored in the bundle, within the error that the manifest permits. The exit code is 1 if a check
    fails.

    With --engine openvino the sampler fails: OpenVINO has no uint64 arithmetic and raises no error.

    With --key, the bundle must be signed with the private half of that key: see rnvp-export --sign.
    Without it, nothing is said of who made the bundle.

    \b
    Examples:
      rnvp-verify model.rnvp
      rnvp-verify model.rnvp --key publisher.pub
    """
    from rnvp_runtime.bundle import verification

    checks = verification.verify(bundle, engine, key=key)
    failed = [check for check in checks if not check.passed]
    if as_json:
        summary = {
            "bundle": str(bundle),
            "engine": engine or "default",
            "passed": not failed,
            "checks": [asdict(check) for check in checks],
        }
        click.echo(json.dumps(summary, indent=1))
    else:
        width = max(len(check.name) for check in checks)
        for check in checks:
            click.echo(
                f"{_mark(check.passed)} {printable(f'{check.name:<{width}}  {check.detail}')}"
            )
    if failed:
        named = "; ".join(f"{check.name} {check.detail}" for check in failed[:3])
        more = f"; and {len(failed) - 3} more" if len(failed) > 3 else ""
        raise BundleError(f"{len(failed)} of {len(checks)} checks failed: {named}{more}")


def _mark(passed: bool) -> str:
    """A tick or a cross; a word if the terminal's encoding has neither."""
    mark, word = ("✓", "ok  ") if passed else ("✗", "FAIL")
    try:
        mark.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return word
    return mark
