"""What was measured of a bundle's graph, and of its variants."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, model_validator

from service.manifest.parts import SHA256, Part


def beaten_by(score: float, baselines: Mapping[str, float], *, higher_is_better: bool) -> list[str]:
    """The baselines that are as good as a score or better: a model is worth more than they are."""
    sign = 1 if higher_is_better else -1
    return [name for name, value in baselines.items() if sign * value >= sign * score]


class Quality(Part):
    """The score of this very graph on the test split, touched once."""

    test_accuracy: float
    test_sequences: int
    baseline_accuracy: float = Field(description="logistic regression on mean and deviation")
    seeds: dict[str, float] = Field(
        default_factory=dict, description="test accuracy of every seed trained with these settings"
    )

    @property
    def beaten_by(self) -> list[str]:
        """The baseline, if it is as good or better."""
        baselines = {"logistic regression": self.baseline_accuracy}
        return beaten_by(self.test_accuracy, baselines, higher_is_better=True)


class Scores(Part):
    """The scores of this very graph on the test split, touched once; for tasks with their own."""

    metric: str = Field(description="the chief one of `metrics`, such as `word_error_rate`")
    higher_is_better: bool
    metrics: dict[str, float]
    baselines: dict[str, float] = Field(
        default_factory=dict, description="the chief metric of what a model must beat, by name"
    )
    test_sequences: int
    seeds: dict[str, float] = Field(
        default_factory=dict, description="the chief metric of every seed trained so"
    )

    @property
    def beaten_by(self) -> list[str]:
        """The baselines that are as good or better."""
        chief = self.metrics[self.metric]
        return beaten_by(chief, self.baselines, higher_is_better=self.higher_is_better)

    @model_validator(mode="after")
    def _has_its_metric(self) -> Scores:
        if self.metric not in self.metrics:
            raise ValueError(f"metrics has no {self.metric}")
        return self


class Speed(Part):
    """How fast a variant is, measured at export side by side with the fp32 graph."""

    relative: float = Field(gt=0, description="cells a second, of fp32's; one thread")
    batch_size: int = Field(ge=1)
    steps: int = Field(ge=1, description="of each sequence")
    cpu: str = Field(description="where it was measured, with what matters of its instructions")


class Variant(Part):
    """The same model in another precision, in a graph of its own beside `model.onnx`."""

    file: str = Field(pattern=r"^model\.[a-z0-9]+\.onnx$")
    sha256: str = Field(pattern=SHA256, description="of the file's bytes")
    graph_bytes: int = Field(gt=0)
    test_accuracy: float | None = Field(
        description="as `quality.test_accuracy`; none where the model was not scored"
    )
    agreement: float = Field(ge=0, le=1, description="share of answers with the label of fp32's")
    max_abs_error: float = Field(ge=0, description="of a logit, against fp32's on the same inputs")
    company_error: float = Field(
        ge=0, description="of a logit, against the same sequence alone: neighbours at the extremes"
    )
    tolerance: float = Field(
        gt=0, description="how far neighbours may move an answer, of its scale; checked at load"
    )
    speed: Speed


class ParityCell(Part):
    """One cell of the parity grid: max |onnxruntime - torch| over every output."""

    batch: int
    time: int
    max_abs_error: float
