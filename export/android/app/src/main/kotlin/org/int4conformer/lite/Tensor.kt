package org.int4conformer.lite

/** Values that go into a signature or come out of it, in row-major order. */
sealed class Tensor {
    abstract val shape: List<Int>

    /** How many values a row of the first axis has. */
    val rowSize: Int
        get() = sizeOf(shape.drop(1))
}

class FloatTensor(override val shape: List<Int>, val values: FloatArray) : Tensor()

class IntTensor(override val shape: List<Int>, val values: IntArray) : Tensor()

/** Type and shape of an input or output. */
data class TensorSpec(val type: Type, val shape: List<Int>) {
    enum class Type { FLOAT32, INT32 }

    val size: Int
        get() = sizeOf(shape)

    /** Such a tensor of zeros, as states begin. */
    fun zeros(): Tensor =
        when (type) {
            Type.FLOAT32 -> FloatTensor(shape, FloatArray(size))
            Type.INT32 -> IntTensor(shape, IntArray(size))
        }
}

/** Inputs and outputs of a signature by name. */
data class SignatureSpec(
    val inputs: Map<String, TensorSpec>,
    val outputs: Map<String, TensorSpec>
)

internal fun sizeOf(shape: List<Int>): Int = shape.fold(1) { size, side -> size * side }

/** The float32 output of a name. */
internal fun Map<String, Tensor>.floats(name: String): FloatArray = (getValue(name) as FloatTensor).values

/** The int32 output of a name. */
internal fun Map<String, Tensor>.ints(name: String): IntArray = (getValue(name) as IntTensor).values
