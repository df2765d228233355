"""MLServer: one runtime a model, in the process that takes the requests, no batching."""

import asyncio
import sys

import numpy as np
from graph import MODELS, Graph
from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.codecs import NumpyCodec
from mlserver.settings import ModelParameters
from mlserver.types import InferenceRequest, InferenceResponse


class GraphRuntime(MLModel):
    """A bundle's graph; `parameters.uri` is the repository."""

    async def load(self) -> bool:
        """Load the graph."""
        self._graph = Graph(self.settings.parameters.uri, self.settings.name)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """The logits of a padded batch."""
        tensors = {
            tensor.name: np.array(tensor.data.root, np.dtype(kind)).reshape(tensor.shape)
            for tensor in payload.inputs
            for kind in [{"FP32": "float32", "INT64": "int64"}[tensor.datatype]]
        }
        inputs = tensors["inputs"]
        full = np.full(len(inputs), inputs.shape[1], dtype=np.int64)
        logits = self._graph.run(inputs, tensors.get("lengths", full))
        return InferenceResponse(
            model_name=self.name, outputs=[NumpyCodec.encode_output("logits", logits)]
        )


async def main() -> None:
    """Serve until a signal."""
    repository, port = sys.argv[1], int(sys.argv[2])
    settings = Settings(
        debug=False,
        host="127.0.0.1",
        http_port=port,
        grpc_port=0,
        metrics_endpoint=None,
        parallel_workers=0,
        load_models_at_startup=False,
        gzip_enabled=False,
    )
    models = [
        ModelSettings(
            name=name, implementation=GraphRuntime, parameters=ModelParameters(uri=repository)
        )
        for name in MODELS
    ]
    await MLServer(settings).start(models)


if __name__ == "__main__":
    asyncio.run(main())
