"""Hears a WAV file segment by segment, with the calls that the app makes, in their order.

    python reference_client.py recognizer.tflite speech.wav
"""

import json
import sys
import wave

import numpy as np
from ai_edge_litert import interpreter as litert
from ai_edge_litert import schema_py_generated as schema


def metadata(content):
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    (entry,) = [entry for entry in model.metadata if entry.name == b"int4_conformer"]
    return json.loads(model.buffers[entry.buffer].data.tobytes())


class Pass:
    """A signature and its state, which begins as zeros."""

    def __init__(self, interpreter, name, given):
        self.run, self.given = interpreter.get_signature_runner(name), given
        inputs = self.run.get_input_details()
        self.state = {key: np.zeros(x["shape"], x["dtype"]) for key, x in inputs.items()}
        self.segment, self.waiting = inputs[given]["shape"][1], self.state.pop(given)[0, :0]
        del self.state["length"]

    def hear(self, values, last):
        self.waiting = np.concatenate([self.waiting, values])
        # A stream ends with a segment that is not full, if one of padding alone.
        while len(self.waiting) >= self.segment or last is not None:
            part, self.waiting = np.split(self.waiting, [self.segment])
            last = last if len(part) == self.segment else None
            padding = [(0, self.segment - len(part))] + [(0, 0)] * (part.ndim - 1)
            heard = {self.given: np.pad(part, padding)[None], "length": np.int32([len(part)])}
            outputs = self.run(**heard, **self.state)
            self.state = {key: outputs[key] for key in self.state}
            yield outputs


def transcribe(content, pcm):
    facts = metadata(content)
    kernels = "BUILTIN" if facts["delegate"] == "xnnpack" else "BUILTIN_WITHOUT_DEFAULT_DELEGATES"
    resolver = getattr(litert.OpResolverType, kernels)
    interpreter = litert.Interpreter(model_content=content, experimental_op_resolver_type=resolver)
    pcm = np.pad(pcm, (0, -len(pcm) % facts["block_samples"]))
    results = list(Pass(interpreter, "first_pass", "pcm").hear(pcm, True))
    if "second_pass" in interpreter.get_signature_list():
        encoded = np.concatenate([x["encoded"][0, : x["length"][0]] for x in results])
        results = list(Pass(interpreter, "second_pass", "encoded").hear(encoded, True))
    tokens = np.concatenate([x["tokens"][0, : x["count"][0]] for x in results])
    pieces = facts["vocabulary"]["pieces"]
    return " ".join("".join(pieces[token] for token in tokens).replace("\u2581", " ").split())


if __name__ == "__main__":
    with wave.open(sys.argv[2]) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    with open(sys.argv[1], "rb") as file:
        print(transcribe(file.read(), samples.astype(np.float32) / 32768))
