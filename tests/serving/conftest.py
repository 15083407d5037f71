"""One exported recogniser, and one server of it, for all tests of this folder."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from int4_conformer.export.saved_model import export_saved_model
from tests.serving import kit
from tests.serving.prediction_service import Addresses, Models, ServedModel, serving
from tests.serving.server_configs import read_batching
from tests.support import pairs, tiny

MODEL = "recognizer"
MAX_SECONDS = 3.0


class Reversed:
    """A model with a mistake: its texts come in the wrong order."""

    def __init__(self, model):
        self._model = model

    def __getattr__(self, name):
        return getattr(self._model, name)

    def predict(self, name, given):
        outputs = self._model.predict(name, given)
        return outputs | {key: outputs[key][::-1] for key in {"text", "error"} & outputs.keys()}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Served:
    """A server of the tests, and what its model says when it is asked alone."""

    addresses: Addresses
    folder: Path
    # Versions: 0 is `Reversed`; 1 batches, "stable"; 2 answers each request alone, "canary".
    models: Models

    def grpc(self, **chosen):
        return kit.recognition_client.GrpcClient(self.addresses.grpc, MODEL, **chosen)

    def rest(self, **chosen):
        return kit.recognition_client.RestClient(self.addresses.rest, MODEL, **chosen)

    def alone(self, samples):
        """The text of samples, from the model itself."""
        given = {"pcm": samples[None], "length": np.int32([len(samples)])}
        return self.models.versions[2].predict("", given)["text"][0].decode()


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / MODEL / "1"
    model = pairs.built("cascade", "averaged", pairs.W4A8)
    export_saved_model(model, tiny.TOKENIZER, folder, max_seconds=MAX_SECONDS)
    batching = read_batching(kit.FOLDER / "batching.config")
    batched = ServedModel(folder, batching)
    alone = batched.unbatched()
    models = Models(
        name=MODEL,
        versions={0: Reversed(alone), 1: batched, 2: alone},
        labels={"stable": 1, "canary": 2},
    )
    with serving(models) as addresses:
        yield Served(addresses=addresses, folder=folder, models=models)
