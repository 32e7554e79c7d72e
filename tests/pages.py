"""Write the tables of the documentation that a command measures."""

import datetime
import os
import platform
from pathlib import Path

__all__ = ["measured_here", "write_measured"]


def measured_here() -> str:
    """The words ``Measured on`` with today's date, the machine and the Python version."""
    return (
        f"Measured on {datetime.date.today()}, {platform.system()} {platform.machine()}, "
        f"{os.cpu_count()} CPUs, Python {platform.python_version()}"
    )


def write_measured(page: Path, module: str, text: str) -> None:
    """Put ``text`` between the comments of ``module`` in ``page``.

    The comments are ``<!-- made by MODULE -->`` and ``<!-- end of MODULE -->``. Each is on its own
    line.
    """
    begin, end = f"<!-- made by {module} -->\n", f"<!-- end of {module} -->"
    before, rest = page.read_text(encoding="utf-8").split(begin)
    after = rest.split(end)[1]
    page.write_text(before + begin + text.rstrip("\n") + "\n" + end + after, encoding="utf-8")
