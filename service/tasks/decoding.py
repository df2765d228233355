"""What tasks whose model decodes share: texts token by token, by `service.decoding`."""

from __future__ import annotations

from abc import abstractmethod

from service.graphs.decoders.decoder import DecoderSpec
from service.tasks.task import Task


class DecodingTask(Task):
    """A task whose `Work.asked` are prompts; its answer is given what was made of each."""

    @abstractmethod
    def decoder_spec(self) -> DecoderSpec:
        """What the graph takes and answers; with a memory, `encoder.onnx` gives it."""
