"""Schemas of the custom resources that the manifests use, kept by hand.

No package brings them in a form that says no to a misspelt field. Each lists the fields that the
manifests use and refuses all others; what is in the containers is checked as a Pod's.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
TEXTS: Schema = {"type": "object", "additionalProperties": TEXT}
COUNT: Schema = {"type": "integer", "minimum": 0}
SELECTOR: Schema = {
    "type": "object",
    "properties": {"matchLabels": TEXTS},
    "required": ["matchLabels"],
    "additionalProperties": False,
}


def fields(required: list[str], **properties: Schema) -> Schema:
    """An object of these fields and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def resource(spec: Schema) -> Schema:
    """A whole one, of this specification."""
    metadata = fields(["name"], name=TEXT, labels=TEXTS, annotations=TEXTS)
    required = ["apiVersion", "kind", "metadata", "spec"]
    return fields(required, apiVersion=TEXT, kind=TEXT, metadata=metadata, spec=spec)


def a_list(items: Schema) -> Schema:
    """One or more."""
    return {"type": "array", "items": items, "minItems": 1}


DURATION: Schema = {"type": "string", "pattern": r"^\d+(ms|s|m|h)$"}
RULE: Schema = {
    "oneOf": [
        fields(["record", "expr"], record=TEXT, expr=TEXT, labels=TEXTS),
        fields(
            ["alert", "expr"],
            alert=TEXT,
            expr=TEXT,
            **{"for": DURATION, "keep_firing_for": DURATION},
            labels=TEXTS,
            annotations=TEXTS,
        ),
    ]
}
MODEL_FORMAT = fields(["name"], name=TEXT, version=TEXT, autoSelect={"type": "boolean"})

SCHEMAS: dict[tuple[str, str], Schema] = {
    ("monitoring.coreos.com/v1", "ServiceMonitor"): resource(
        fields(
            ["selector", "endpoints"],
            selector=SELECTOR,
            endpoints=a_list(
                fields(
                    ["port"],
                    port=TEXT,
                    path=TEXT,
                    interval=DURATION,
                    scrapeTimeout=DURATION,
                    authorization=fields(
                        ["credentials"],
                        type=TEXT,
                        credentials=fields(["name", "key"], name=TEXT, key=TEXT),
                    ),
                )
            ),
        )
    ),
    ("monitoring.coreos.com/v1", "PrometheusRule"): resource(
        fields(
            ["groups"],
            groups=a_list(
                fields(["name", "rules"], name=TEXT, interval=DURATION, rules=a_list(RULE))
            ),
        )
    ),
    ("serving.kserve.io/v1alpha1", "ServingRuntime"): resource(
        fields(
            ["containers", "supportedModelFormats"],
            annotations=TEXTS,
            supportedModelFormats=a_list(MODEL_FORMAT),
            protocolVersions=a_list({"enum": ["v1", "v2", "grpc-v2"]}),
            containers=a_list({"type": "object"}),
            volumes=a_list({"type": "object"}),
        )
    ),
    ("serving.kserve.io/v1beta1", "InferenceService"): resource(
        fields(
            ["predictor"],
            predictor=fields(
                ["model"],
                minReplicas=COUNT,
                maxReplicas=COUNT,
                scaleMetric={"enum": ["cpu", "memory", "concurrency", "rps"]},
                scaleTarget=COUNT,
                terminationGracePeriodSeconds=COUNT,
                automountServiceAccountToken={"type": "boolean"},
                securityContext={"type": "object"},
                model=fields(
                    ["modelFormat"],
                    modelFormat=fields(["name"], name=TEXT, version=TEXT),
                    runtime=TEXT,
                    protocolVersion={"enum": ["v1", "v2", "grpc-v2"]},
                    storageUri=TEXT,
                ),
            ),
        )
    ),
}
