"""Signatures that are a part of another one's graph."""

import copy
from collections.abc import Mapping, Sequence

from ai_edge_litert import schema_py_generated as schema


def split_signature(
    model: schema.ModelT, signature: str, parts: Mapping[str, Sequence[str]]
) -> None:
    """Puts several signatures in the place of one, on the same operators: each gives some of its
    outputs.

    Whoever runs one of them runs the operators of all; the file holds them once.

    Args:
        model: as `flatbuffer.load` gives it; it is changed.
        signature: the one that there is.
        parts: outputs by the name of a signature, which may be the same.
    """
    whole = next(x for x in model.signatureDefs if x.signatureKey.decode() == signature)
    model.signatureDefs.remove(whole)
    for name, outputs in parts.items():
        part = copy.copy(whole)
        part.signatureKey = name.encode()
        part.outputs = [x for x in whole.outputs if x.name.decode() in outputs]
        model.signatureDefs.append(part)
    model.signatureDefs.sort(key=lambda x: x.signatureKey)
