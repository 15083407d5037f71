"""Signatures that are another one under a second name."""

import copy

from ai_edge_litert import schema_py_generated as schema


def alias_signature(model: schema.ModelT, signature: str, alias: str) -> None:
    """Gives a signature a second name, on the same operators, which the file holds once.

    Both have all outputs: LiteRT's `CompiledModel` takes no signature of less than its subgraph.

    Args:
        model: as `flatbuffer.load` gives it; it is changed.
        signature: the one that there is.
        alias: its second name.
    """
    whole = next(x for x in model.signatureDefs if x.signatureKey.decode() == signature)
    # Of its own, since later changes of the file go over each signature.
    same = copy.deepcopy(whole)
    same.signatureKey = alias.encode()
    model.signatureDefs.append(same)
    model.signatureDefs.sort(key=lambda x: x.signatureKey)
