"""Tables in the documentation that a command measures and writes."""

import datetime
import os
import platform
from pathlib import Path

__all__ = ["measured_here", "write_measured"]


def measured_here() -> str:
    """``Measured on`` today's date, the machine and the Python."""
    return (
        f"Measured on {datetime.date.today()}, {platform.system()} {platform.machine()}, "
        f"{os.cpu_count()} CPUs, Python {platform.python_version()}"
    )


def write_measured(page: Path, module: str, text: str) -> None:
    """Put ``text`` between the comments of ``module`` in ``page``.

    They are ``<!-- made by MODULE -->`` and ``<!-- end of MODULE -->``, on lines of their own.
    """
    begin, end = f"<!-- made by {module} -->\n", f"<!-- end of {module} -->"
    before, rest = page.read_text(encoding="utf-8").split(begin)
    after = rest.split(end)[1]
    page.write_text(before + begin + text.rstrip("\n") + "\n" + end + after, encoding="utf-8")
