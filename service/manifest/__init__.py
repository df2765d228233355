"""The contract of a bundle: everything a server must know that is not in the graph.

Owned by its reader, the service; training imports it and writes `model.json` with it. `parts.py`
is what the graph takes, answers and is; `contract.py` what a task needs to know of that;
`quality.py` what was measured of it; `manifest.py` the whole; `files.py` reads it and its files,
verified.
"""

from service.manifest.contract import Contract
from service.manifest.files import (
    GRAPH_FILE,
    MANIFEST_FILE,
    check_manifest,
    read_document,
    read_file,
    read_graph,
    read_manifest,
)
from service.manifest.manifest import SCHEMA_VERSION, Manifest
from service.manifest.parts import (
    Bins,
    BundleFile,
    Inputs,
    Limits,
    Outputs,
    Precision,
    Profile,
    Provenance,
    StatePair,
    VariantName,
)
from service.manifest.quality import ParityCell, Quality, Scores, Speed, Variant, beaten_by

__all__ = [
    "GRAPH_FILE",
    "MANIFEST_FILE",
    "SCHEMA_VERSION",
    "Bins",
    "BundleFile",
    "Contract",
    "Inputs",
    "Limits",
    "Manifest",
    "Outputs",
    "ParityCell",
    "Precision",
    "Profile",
    "Provenance",
    "Quality",
    "Scores",
    "Speed",
    "StatePair",
    "Variant",
    "VariantName",
    "beaten_by",
    "check_manifest",
    "read_document",
    "read_file",
    "read_graph",
    "read_manifest",
]
