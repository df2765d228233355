"""The architectures: torch only, each readable beside its equations.

All share one signature, `forward(inputs, lengths, state=None) -> Prediction`; nothing outside this
package asks which one it has. `families.py` names them, `sequence.py` is the shape they share,
`fronts.py` read the steps, `recurrent.py` and `transformer.py` encode, `heads.py` turn encodings
into logits, `fused.py` gives the form that exports to one ONNX operator a layer. Encoder-decoders
and language models are in `decoders/`.
"""

from models.families import FAMILIES, Architecture, architecture_of, build
from models.fused import fuse
from models.sequence import Prediction, SequenceModel, State

__all__ = [
    "FAMILIES",
    "Architecture",
    "Prediction",
    "SequenceModel",
    "State",
    "architecture_of",
    "build",
    "fuse",
]
