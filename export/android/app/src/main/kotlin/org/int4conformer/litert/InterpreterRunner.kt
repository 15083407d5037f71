package org.int4conformer.litert

import java.nio.FloatBuffer
import java.nio.IntBuffer
import org.int4conformer.lite.FloatTensor
import org.int4conformer.lite.IntTensor
import org.int4conformer.lite.SignatureRunner
import org.int4conformer.lite.Tensor
import org.int4conformer.lite.file.Metadata
import org.int4conformer.lite.file.ModelFile
import org.tensorflow.lite.Interpreter

/**
 * Runs signatures with LiteRT's Interpreter.
 *
 * The built-in kernels quantize activations symmetrically, XNNPACK's asymmetrically: a model runs
 * on those whose integers it was trained with.
 */
class InterpreterRunner(private val file: ModelFile, threads: Int) : SignatureRunner {
    private val interpreter = Interpreter(
        file.content,
        Interpreter.Options()
            .setNumThreads(threads)
            .setUseXNNPACK(file.metadata.delegate == Metadata.Delegate.XNNPACK)
    )

    override fun run(signature: String, inputs: Map<String, Tensor>): Map<String, Tensor> {
        val outputs = file.signatures.getValue(signature).outputs.mapValues { it.value.zeros() }
        interpreter.runSignature(
            inputs.mapValues { buffer(it.value) },
            outputs.mapValues { buffer(it.value) },
            signature
        )
        return outputs
    }

    override fun close() = interpreter.close()

    /** A view of the values: what LiteRT writes there is in the tensor. */
    private fun buffer(tensor: Tensor): Any =
        when (tensor) {
            is FloatTensor -> FloatBuffer.wrap(tensor.values)
            is IntTensor -> IntBuffer.wrap(tensor.values)
        }
}
