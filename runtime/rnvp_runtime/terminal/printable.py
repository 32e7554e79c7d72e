"""Text from outside, such as column names of a table or a bundle, made harmless for a terminal."""

import json

__all__ = ["printable"]


def printable(text: str) -> str:
    r"""``text`` with everything that is not shown as it is replaced by JSON's escapes.

    A control character may move the cursor, colour the screen or retitle the window; a character
    that reverses the direction may hide what a line says.

    >>> printable("x\x1b[2J")
    'x\\u001b[2J'
    """
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)
