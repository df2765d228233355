"""Complete a CycloneDX bill of materials, from standard input to standard output.

What is compiled into packages (parts.toml) becomes components of theirs, whether the release was
audited a property of the whole: `python bill.py "audited: …" <environment.json >sbom.cdx.json`.
"""

from __future__ import annotations

import itertools
import json
import sys
import tomllib
from pathlib import Path
from typing import Any

PARTS = Path(__file__).with_name("parts.toml")


def components(part: dict[str, Any], holder: str) -> list[dict[str, Any]]:
    """What a part is made of, as CycloneDX has it."""
    return [
        {
            "type": "library",
            "bom-ref": f"{holder}#{name}",
            "name": name,
            "licenses": [{"license": {"name": part["license"]}}],
        }
        for name in part["name"].split(", ")
    ]


def complete(bill: dict[str, Any], audited: str) -> dict[str, Any]:
    """The bill with the parts of parts.toml and the audit's outcome in it."""
    parts = tomllib.loads(PARTS.read_text())
    metadata = bill["metadata"]
    metadata.setdefault("properties", []).append({"name": "seqserve:audit", "value": audited})
    held: dict[str, list[dict[str, Any]]] = {"seqserve": parts["wheel"]}
    for part in parts["image"]:
        held.setdefault(part["of"], []).append(part)
    for holder in [metadata["component"], *bill["components"]]:
        if of_it := held.get(holder["name"]):
            inside = [components(part, holder["bom-ref"]) for part in of_it]
            holder.setdefault("components", []).extend(itertools.chain(*inside))
    return bill


if __name__ == "__main__":
    json.dump(complete(json.load(sys.stdin), sys.argv[1]), sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")
