"""What one process uses, added up over the workers."""

from __future__ import annotations

from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector


class ProcessTotals:
    """What prometheus-client tells of one process, added up over the workers."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._collector = ProcessCollector(registry=None)
        self._cpu_s = 0.0
        self._cpu: Counter | None = None
        self._gauges: dict[str, Gauge] = {}
        for family in self._collector.collect():
            if family.type == "counter":
                self._cpu = Counter(family.name, family.documentation, registry=registry)
            else:
                # start_time_seconds and max_fds are no amounts
                amount = family.name.endswith(("_bytes", "open_fds"))
                mode: Literal["livesum", "livemin"] = "livesum" if amount else "livemin"
                self._gauges[family.name] = Gauge(
                    family.name, family.documentation, registry=registry, multiprocess_mode=mode
                )

    def refresh(self) -> None:
        """Note how this process is now."""
        for family in self._collector.collect():
            value = family.samples[0].value
            if family.name in self._gauges:
                self._gauges[family.name].set(value)
            elif self._cpu is not None:
                self._cpu.inc(value - self._cpu_s)
                self._cpu_s = value
