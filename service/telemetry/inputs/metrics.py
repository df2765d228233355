"""The metrics of what models are given; those of a sample say so."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge

from service.telemetry.tally import Histogram

STEPS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 4_096)


class InputMetrics:
    """What is told of inputs.

    Args:
        registry: Of the server.
        labels: Of the models' metrics.
    """

    def __init__(self, registry: CollectorRegistry, labels: Sequence[str]) -> None:
        self.items = Counter(
            "seqserve_input_items_total",
            "Characters, words or measured values of inputs, of tasks that count the unknown ones",
            labels,
            registry=registry,
        )
        self.unknown = Counter(
            "seqserve_unknown_tokens_total",
            "Characters or words of inputs that the model's vocabulary lacks",
            labels,
            registry=registry,
        )
        self.missing = Counter(
            "seqserve_missing_values_total",
            "Values of inputs that the caller left unknown, where the task allows that",
            labels,
            registry=registry,
        )
        self.refused = Counter(
            "seqserve_not_finite_inputs_total",
            "Requests refused because a value was NaN or infinite",
            labels[:2],
            registry=registry,
        )
        self.sequences = Counter(
            "seqserve_input_sequences_total",
            "Sequences that were looked at, a sample",
            labels,
            registry=registry,
        )
        self.length = Histogram(
            "seqserve_input_length_steps",
            "Steps of the sequences that were looked at",
            labels,
            buckets=STEPS,
            registry=registry,
        )
        self.values = Counter(
            "seqserve_input_values_total",
            "Values that were looked at; range: inside, below or above what the model learnt from",
            [*labels, "range"],
            registry=registry,
        )
        # each worker tells of what it was asked; the worst is shown, see docs/monitoring.md
        self.stability = Gauge(
            "seqserve_input_stability_index",
            "Population stability index of a feature's values beside what the model learnt from",
            [*labels, "feature"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.length_stability = Gauge(
            "seqserve_input_length_stability_index",
            "Population stability index of the sequences' lengths, likewise",
            labels,
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.predictions = Counter(
            "seqserve_predictions_total",
            "Labels of the answers that were looked at, of sequences or of steps",
            [*labels, "label"],
            registry=registry,
        )
