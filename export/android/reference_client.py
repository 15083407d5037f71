"""python reference_client.py MODEL.tflite SPEECH.wav: the app's calls, in the app's order."""

import json
import sys
import wave

import numpy as np
from ai_edge_litert import interpreter as litert
from ai_edge_litert import schema_py_generated as schema


# A signature and its state, which begins as zeros.
class Pass:
    def __init__(self, interpreter, name, given):
        self.run, self.given = interpreter.get_signature_runner(name), given
        inputs = self.run.get_input_details().items()
        self.state = {key: np.zeros(x["shape"], x["dtype"]) for key, x in inputs if key != "length"}
        self.nothing = self.waiting = self.state[given][0, :0]
        self.segment = self.state.pop(given).shape[1]

    def hear(self, values, last):
        self.waiting = np.concatenate([self.waiting, values])
        # A stream ends with a segment that is not full, if one of padding alone.
        for _ in range(len(self.waiting) // self.segment + last):
            part, self.waiting = np.split(self.waiting, [self.segment])
            padding = [(0, self.segment - len(part))] + [(0, 0)] * (part.ndim - 1)
            heard = {self.given: np.pad(part, padding)[None], "length": np.int32([len(part)])}
            outputs = self.run(**heard, **self.state)
            self.state = {key: outputs[key] for key in self.state}
            yield outputs


def hear(passes, values, last, tokens):
    for outputs in passes[0].hear(values, last):
        if passes[1:]:
            hear(passes[1:], outputs["encoded"][0, : outputs["length"][0]], False, tokens)
        else:
            tokens += outputs["tokens"][0, : outputs["count"][0]].tolist()
    if last and passes[1:]:
        hear(passes[1:], passes[1].nothing, True, tokens)


def transcribe(content, pcm):
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    (entry,) = (entry for entry in model.metadata if entry.name == b"int4_conformer")
    facts = json.loads(model.buffers[entry.buffer].data.tobytes())
    kernels = "BUILTIN" if facts["delegate"] == "xnnpack" else "BUILTIN_WITHOUT_DEFAULT_DELEGATES"
    resolver, tokens = litert.OpResolverType[kernels], []
    interpreter = litert.Interpreter(model_content=content, experimental_op_resolver_type=resolver)
    given, names = {"first_pass": "pcm", "second_pass": "encoded"}, interpreter.get_signature_list()
    passes = [Pass(interpreter, name, given[name]) for name in given if name in names]
    hear(passes, np.pad(pcm, (0, -len(pcm) % facts["block_samples"])), True, tokens)
    pieces = [facts["vocabulary"]["pieces"][token] for token in tokens]
    return " ".join("".join(pieces).replace("\u2581", " ").split())


if __name__ == "__main__":
    with open(sys.argv[1], "rb") as model_file, wave.open(sys.argv[2]) as speech_file:
        samples = np.frombuffer(speech_file.readframes(speech_file.getnframes()), np.int16)
        print(transcribe(model_file.read(), samples.astype(np.float32) / 32768))
