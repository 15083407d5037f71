package org.int4conformer.lite

/**
 * A signature that hears a stream segment by segment, and its state, which begins as zeros.
 *
 * @param run the signature.
 * @param spec its inputs: [given], the length, and the state.
 * @param given name of the input that is heard, `[1, segment, ...]`.
 */
internal class Pass(
    private val run: (Map<String, Tensor>) -> Map<String, Tensor>,
    spec: SignatureSpec,
    private val given: String
) {
    private val shape = spec.inputs.getValue(given).shape
    private val start = (spec.inputs - listOf(given, Names.LENGTH)).mapValues { it.value.zeros() }
    private var state = start
    private var waiting = FloatArray(0)

    /** Rows of a segment: samples of the first pass, frames of the second. */
    val segment = shape[1]

    /** Values of a row. */
    val width = sizeOf(shape.drop(2))

    /** Of the last segment, what was real. */
    var length = 0
        private set

    var isFinished = false
        private set

    /** Begins the next utterance. */
    fun restart() {
        waiting = FloatArray(0)
        state = start
        length = 0
        isFinished = false
    }

    /** Hears values and tells of each segment that has become whole, and of the rest if it is the last. */
    fun hear(values: FloatArray, last: Boolean, tell: (Map<String, Tensor>) -> Unit) {
        waiting += values
        while (waiting.size >= segment * width) {
            tell(step(waiting.copyOf(segment * width)))
            waiting = waiting.copyOfRange(segment * width, waiting.size)
        }
        if (last) {
            // Also without a rest: a stream ends with a segment, if one of padding alone.
            isFinished = true
            tell(step(waiting))
        }
    }

    private fun step(values: FloatArray): Map<String, Tensor> {
        length = values.size / width
        val inputs = LinkedHashMap<String, Tensor>(state)
        inputs[given] = FloatTensor(shape, values.copyOf(segment * width))
        inputs[Names.LENGTH] = IntTensor(listOf(1), intArrayOf(length))
        val outputs = run(inputs)
        state = state.mapValues { outputs.getValue(it.key) }
        return outputs
    }
}
