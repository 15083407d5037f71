"""From a trained transducer to a SavedModel that TensorFlow alone loads."""

import json
import os
import tempfile
from pathlib import Path

from tensorflow.core.protobuf import saved_model_pb2

from int4_conformer import interface
from int4_conformer.errors import UserError, require_positive
from int4_conformer.export.served.serving_signatures import DEFAULTS, serving_signatures
from int4_conformer.export.served.warmup import write_warmup
from int4_conformer.export.trace import save_graph
from int4_conformer.files import require_new_folder, write_beside
from int4_conformer.models.model_config import MAX_SECONDS, SEGMENT_SECONDS
from int4_conformer.models.transducer import Transducer
from int4_conformer.text.tokenizer import Tokenizer


def export_saved_model(
    model: Transducer,
    tokenizer: Tokenizer,
    output: str | os.PathLike,
    *,
    segment_seconds: float = SEGMENT_SECONDS,
    max_seconds: float = MAX_SECONDS,
) -> None:
    """Writes a SavedModel with the signatures that `interface` describes.

    Quantized weights are stored as their codes, two 4-bit ones in a byte, and scales, and
    multiplied as integers. What clients cannot ask a server for lies beside, in
    `assets/recognizer.json`: the vocabulary and the sizes. `assets.extra` has the requests that TF
    Serving warms up with.

    Args:
        model: trained.
        tokenizer: it was trained with.
        output: path of the folder, which must not exist.
        segment_seconds: audio that a stream waits for at most, if the model can stream.
        max_seconds: longest utterance that is recognised as a whole.

    Raises:
        UserError: `output` exists, or cannot be written, or `max_seconds` is not positive.
    """
    require_positive(max_seconds=max_seconds)
    output = Path(output)
    require_new_folder(output)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        # No number, which a server that watches the folder would take for a version.
        with tempfile.TemporaryDirectory(prefix=".partial", dir=output.parent) as folder:
            beside = Path(folder) / "model"
            functions = serving_signatures(
                model, tokenizer, segment_seconds=segment_seconds, max_seconds=max_seconds
            )
            save_graph(functions, model, beside, "integers")
            _write_defaults(beside / "saved_model.pb")
            write_warmup(functions, beside, model.config.front_end.sample_rate)
            facts = {
                "sample_rate": model.config.front_end.sample_rate,
                "frame_samples": model.config.frame_samples,
                "block_samples": model.config.block_samples,
                "max_seconds": max_seconds,
                "recipe": model.config.recipe.name,
                "vocabulary": tokenizer.vocabulary.to_config(),
            }
            write_beside(beside / "assets" / "recognizer.json", json.dumps(facts).encode())
            beside.rename(output)
    except OSError as error:
        raise UserError(
            f"{output} cannot be written ({error.strerror}); check the path."
        ) from error


def _write_defaults(path: Path) -> None:
    """Says in a SavedModel's graph what inputs are that a request has not."""
    # `tf.saved_model.save` takes them of functions that it traces itself, which here are traced
    # already.
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    for name, signature in saved.meta_graphs[0].signature_def.items():
        if name not in (interface.FIRST_PASS, interface.SECOND_PASS):
            for given in DEFAULTS.keys() & signature.inputs.keys():
                signature.defaults[given].CopyFrom(DEFAULTS[given])
    path.write_bytes(saved.SerializeToString(deterministic=True))
