"""From a trained transducer to a SavedModel that TensorFlow alone loads."""

import json
import os
import tempfile
from pathlib import Path

from int4_conformer.errors import UserError
from int4_conformer.export.signatures import signatures
from int4_conformer.export.trace import save_graph
from int4_conformer.files import require_new_folder, write_beside
from int4_conformer.models.model_config import SEGMENT_SECONDS
from int4_conformer.models.transducer import Transducer
from int4_conformer.text.vocabulary import Vocabulary


def export_saved_model(
    model: Transducer,
    vocabulary: Vocabulary,
    output: str | os.PathLike,
    *,
    segment_seconds: float = SEGMENT_SECONDS,
) -> None:
    """Writes a SavedModel with the signatures that `interface` describes.

    Quantized weights are stored as their codes and scales and multiplied as integers; the
    vocabulary lies beside as an asset, `assets/vocabulary.json`.

    Args:
        model: trained.
        vocabulary: what its output ids mean.
        output: path of the folder, which must not exist.
        segment_seconds: audio that a stream waits for at most, if the model can stream.

    Raises:
        UserError: `output` exists, or cannot be written.
    """
    output = Path(output)
    require_new_folder(output)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=output.name, dir=output.parent) as folder:
            beside = Path(folder) / "model"
            functions = signatures(model, segment_seconds, checked=True)
            save_graph(functions, model, beside, "integers")
            write_beside(
                beside / "assets" / "vocabulary.json", json.dumps(vocabulary.to_config()).encode()
            )
            beside.rename(output)
    except OSError as error:
        raise UserError(
            f"{output} cannot be written ({error.strerror}); check the path."
        ) from error
