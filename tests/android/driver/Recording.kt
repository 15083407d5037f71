import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.abs
import org.int4conformer.lite.FloatTensor
import org.int4conformer.lite.IntTensor
import org.int4conformer.lite.SignatureRunner
import org.int4conformer.lite.Tensor

private const val TOLERANCE = 1e-5f

/** Values that a case's JSON text refers to by their places. */
class Values(file: File) {
    private val bytes = ByteBuffer.wrap(file.readBytes()).order(ByteOrder.LITTLE_ENDIAN)

    fun tensor(reference: Any?): Tensor {
        val fields = reference as Map<*, *>
        val shape = (fields["shape"] as List<*>).map { (it as Double).toInt() }
        val size = shape.fold(1) { size, side -> size * side }
        val place = (fields["at"] as Double).toInt()
        return if (fields["type"] == "int32") {
            IntTensor(shape, IntArray(size) { bytes.getInt(place + 4 * it) })
        } else {
            FloatTensor(shape, FloatArray(size) { bytes.getFloat(place + 4 * it) })
        }
    }

    fun floats(reference: Any?): FloatArray = (tensor(reference) as FloatTensor).values
}

/** Gives the outputs that LiteRT gave to Python, and insists on the inputs that Python gave. */
class Recording(private val calls: List<*>, private val values: Values) : SignatureRunner {
    private var place = 0

    val isAtEnd: Boolean
        get() = place == calls.size

    override fun run(signature: String, inputs: Map<String, Tensor>): Map<String, Tensor> {
        check(place < calls.size) { "call $place of $signature was not recorded" }
        val call = calls[place++] as Map<*, *>
        check(call["signature"] == signature) { "call $place is of $signature, not of ${call["signature"]}" }
        val recorded = tensors(call["inputs"])
        check(recorded.keys == inputs.keys) { "call $place has other inputs: ${inputs.keys}" }
        for ((name, tensor) in recorded) requireSame(tensor, inputs.getValue(name), "$name of call $place")
        return tensors(call["outputs"])
    }

    override fun close() = Unit

    private fun tensors(references: Any?): Map<String, Tensor> =
        (references as Map<*, *>).entries.associate { (it.key as String) to values.tensor(it.value) }

    private fun requireSame(expected: Tensor, given: Tensor, name: String) {
        check(expected.shape == given.shape) { "$name has the shape ${given.shape}, not ${expected.shape}" }
        when (expected) {
            is IntTensor -> check(expected.values.contentEquals((given as IntTensor).values)) { "$name differs" }
            is FloatTensor -> {
                val others = (given as FloatTensor).values
                check(expected.values.indices.all { abs(expected.values[it] - others[it]) <= TOLERANCE }) {
                    "$name differs"
                }
            }
        }
    }
}
