"""``manifest.schema.json``: the definition of a manifest for readers in other languages.

    python -m rnvp_runtime.bundle.manifest_schema

writes it again from the fields and the rules of `rnvp_runtime.bundle.manifest`. The reader also
checks the rules that a schema cannot express: see `BESIDE`.
"""

import inspect
import json
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

from rnvp_runtime.bundle.manifest import Manifest
from rnvp_runtime.bundle.rules import parts_of

__all__ = ["BESIDE", "SCHEMA_FILE", "schema_text"]

SCHEMA_FILE = Path(__file__).with_name("manifest.schema.json")
BESIDE = (
    "columns holds dim names, context_columns holds context_dim names, and none is repeated.",
    "reference.columns holds dim columns; levels increases from 0 to 1, and log_prob increases.",
    "Each file of a graph is one of files. Its inputs and outputs are those of its name.",
    "parity[i].scale is one number for log_prob, context_dim numbers for grad_context, else dim.",
    "No two names of files are equal where case does not count. None is the folder of another, "
    "manifest.json or a device of Windows.",
    "The text has no repeated key, NaN, infinity, half of a surrogate pair, integer beyond 64 "
    "bits, or nesting of more than 16. It has at most 1 MiB.",
)
"""The rules that a manifest must obey and that a JSON Schema cannot express."""

_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}
_ALWAYS = ("format", "version")  # have a default in Python, but no manifest lacks them


def schema_text() -> str:
    """The text of ``manifest.schema.json``."""
    records: dict[str, Any] = {}
    top = _schema(Manifest, records)
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "manifest.json of an R-NVP bundle, version 1",
        "$comment": "Also required: " + " ".join(BESIDE),
    }
    return json.dumps(head | top | {"$defs": dict(sorted(records.items()))}, indent=1) + "\n"


def _schema(kind: Any, records: dict[str, Any]) -> dict[str, Any]:
    """The schema of a type; the schemas of records are put into ``records``."""
    kind, rules = parts_of(kind)
    found = _bare(kind, records)
    for rule in rules:
        found |= rule.keywords
    return found


def _bare(kind: Any, records: dict[str, Any]) -> dict[str, Any]:
    if is_dataclass(kind):
        assert isinstance(kind, type)
        records[kind.__name__] = {
            "description": (inspect.getdoc(kind) or "").partition("\n")[0],
            "type": "object",
            "required": [
                field.name
                for field in fields(kind)
                if field.default is MISSING or field.name in _ALWAYS
            ],
            "properties": {field.name: _schema(field.type, records) for field in fields(kind)},
        }
        return {"$ref": f"#/$defs/{kind.__name__}"}
    if isinstance(kind, UnionType):
        options = [_bare(option, records) for option in get_args(kind)]
        if all(option.keys() == {"type"} for option in options):
            return {"type": [option["type"] for option in options]}
        return {"anyOf": options}
    if get_origin(kind) is tuple:
        return {"type": "array", "items": _schema(get_args(kind)[0], records)}
    if get_origin(kind) is dict:
        key, item = get_args(kind)
        found = {"type": "object", "additionalProperties": _schema(item, records)}
        for rule in parts_of(key)[1]:
            found["propertyNames"] = dict(rule.keywords)
        return found
    return {"type": _TYPES[kind]}


if __name__ == "__main__":
    SCHEMA_FILE.write_text(schema_text(), encoding="utf-8")
