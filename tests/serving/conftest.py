"""One exported recogniser, and one server of it, for all tests of this folder."""

import dataclasses

import numpy as np
import pytest

from tests.serving import kit
from tests.serving.prediction_service import Addresses, Models, ServedModel, serving
from tests.serving.server_configs import read_batching

MODEL = "recognizer"


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
def served(cascade_exports):
    folder = cascade_exports.saved_model
    batching = read_batching(kit.FOLDER / "batching.config")
    batched = ServedModel(folder, batching)
    alone = batched.unbatched()
    models = Models(
        name=MODEL,
        versions={0: Reversed(alone), 1: batched, 2: alone},
        labels={"stable": 1, "canary": 2},
    )
    with serving(models) as addresses:
        yield Served(addresses=addresses, models=models)
