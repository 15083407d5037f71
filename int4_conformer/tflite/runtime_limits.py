"""What LiteRT cannot hold or multiply: refused here, where some kernels would only go wrong."""

import numpy as np

from int4_conformer.errors import UserError
from int4_conformer.tflite.deployed_weight import DeployedWeight

# XNNPACK's `XNN_MIN_BLOCKSIZE`, of which a block must be a multiple.
_BLOCK_UNIT = 32
# XNNPACK refuses requantization by this factor or more.
_REQUANTIZATION_LIMIT = 256


def require_storable(weight: DeployedWeight) -> None:
    """Checks what holds of a weight wherever it is used.

    Raises:
        UserError: the file format or the runtime has no place for the weight.
    """
    if (weight.activation == "int8_static") != (weight.static is not None):
        raise UserError(
            f"{weight.name} has activations {weight.activation!r} and the static range "
            f"{weight.static}; give a range with 'int8_static' and with nothing else."
        )
    if weight.block is not None:
        _require_blocks(weight)
    elif weight.static is not None:
        _require_requantization(weight)


def require_matmul(weight: DeployedWeight) -> None:
    """Checks what holds of a weight that is the filter of a FULLY_CONNECTED.

    Raises:
        UserError: the runtime has no such kernel.
    """
    width = weight.codes.shape[1]
    codes = 8 // weight.storage_bits
    if width % codes:
        raise UserError(
            f"{weight.name} has input width {width}; INT{weight.storage_bits} filters need a "
            f"multiple of {codes}, so widen the layer or give it 8 bits in the recipe."
        )


def _require_blocks(weight: DeployedWeight) -> None:
    out, width = weight.codes.shape
    # DEQUANTIZE makes zeros of blocks, and XNNPACK's static matmul divides by zero.
    if weight.activation != "int8_asymmetric":
        raise UserError(
            f"{weight.name} has blocks of {weight.block} and activations {weight.activation!r}; "
            "LiteRT multiplies blocks with 'int8_asymmetric' ones alone, so take those or one "
            "scale a channel."
        )
    if weight.storage_bits != 4:
        raise UserError(
            f"{weight.name} has blocks and {weight.bits} bits; LiteRT has blocks of INT4 alone, so "
            "give it at most 4 bits or one scale a channel."
        )
    if weight.block < 1 or weight.block % _BLOCK_UNIT or width % weight.block:
        raise UserError(
            f"{weight.name} has blocks of {weight.block} and input width {width}; a block must be "
            f"a multiple of {_BLOCK_UNIT} that divides the width, such as 32, 64 or 128."
        )
    if weight.scale.shape != (out, width // weight.block):
        raise UserError(
            f"{weight.name} has scales {list(weight.scale.shape)}, but blocks of {weight.block} in "
            f"codes {[out, width]}, so give scales {[out, width // weight.block]}."
        )
    # The file holds scales in float16, and XNNPACK rounds those to bfloat16.
    with np.errstate(over="ignore"):
        in_float16 = weight.scale.astype(np.float16) == weight.scale
    # A bfloat16 is a float32 whose last 16 bits are 0.
    in_bfloat16 = weight.scale.view(np.uint32) << 16 == 0
    held = in_float16 & in_bfloat16 & (weight.scale > 0) & (weight.scale < np.inf)
    if not held.all():
        raise UserError(
            f"{weight.name} has the block scale {weight.scale[~held][0]}; LiteRT needs numbers "
            "that both bfloat16 and float16 hold, so round the scales to bfloat16 in 2^-14..65280."
        )


def _require_requantization(weight: DeployedWeight) -> None:
    factor = weight.accumulator_scale / np.float32(weight.static.output_scale)
    if not np.all(factor < _REQUANTIZATION_LIMIT):
        channel = np.argmax(factor)
        raise UserError(
            f"{weight.name} has input scale * weight scale / output scale = {factor[channel]} in "
            f"channel {channel}; XNNPACK needs less than {_REQUANTIZATION_LIMIT}, so calibrate "
            "the static ranges again."
        )
