"""Quantizes a float32 recogniser after training, with ai-edge-quantizer.

python benchmarks/ptq.py float.tflite dynamic_wi4_afp32 int4.tflite
"""

import sys
from pathlib import Path

from ai_edge_quantizer import recipe
from ai_edge_quantizer.quantizer import Quantizer

from int4_conformer.files import write_beside
from int4_conformer.tflite.metadata import seal


def quantize(source: Path, recipe_name: str, output: Path) -> None:
    """Writes what a recipe of ai-edge-quantizer makes of a file, with a checksum of its own."""
    result = Quantizer(str(source), getattr(recipe, recipe_name)()).quantize()
    write_beside(output, seal(bytes(result.quantized_model)))


if __name__ == "__main__":
    _source, _recipe_name, _output = sys.argv[1:]
    quantize(Path(_source), _recipe_name, Path(_output))
