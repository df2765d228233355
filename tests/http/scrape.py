"""What /metrics says, by name and labels."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from tests.servers import Server


class Scrape:
    """One scrape of a server."""

    def __init__(self, server: Server) -> None:
        response = server.client.get("/metrics")
        assert response.status_code == 200
        self.text = response.text
        self._samples = [
            sample
            for family in text_string_to_metric_families(response.text)
            for sample in family.samples
        ]

    def __call__(self, name: str, **labels: str) -> float:
        """The sum of the samples of this name that have these labels; 0 if there are none."""
        return sum(
            sample.value
            for sample in self._samples
            if sample.name == name and sample.labels.items() >= labels.items()
        )

    def names(self) -> set[str]:
        return {sample.name for sample in self._samples}

    def label_values(self, label: str) -> set[str]:
        return {sample.labels[label] for sample in self._samples if label in sample.labels}
