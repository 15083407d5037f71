package org.int4conformer.litert

import com.google.ai.edge.litert.CompiledModel
import com.google.ai.edge.litert.TensorBuffer
import org.int4conformer.lite.FloatTensor
import org.int4conformer.lite.IntTensor
import org.int4conformer.lite.SignatureRunner
import org.int4conformer.lite.SignatureSpec
import org.int4conformer.lite.Tensor
import org.int4conformer.lite.TensorSpec
import org.int4conformer.lite.UserError
import org.int4conformer.lite.file.Metadata
import org.int4conformer.lite.file.ModelFile

/**
 * Runs signatures with LiteRT's CompiledModel.
 *
 * It has XNNPACK's kernels alone on the CPU: files that were trained for others are refused.
 */
class CompiledModelRunner(
    private val file: ModelFile,
    compile: () -> CompiledModel
) : SignatureRunner {
    private class Buffers(val inputs: Map<String, TensorBuffer>, val outputs: Map<String, TensorBuffer>)

    private val model: CompiledModel
    private val buffers = HashMap<String, Buffers>()

    init {
        if (file.metadata.delegate != Metadata.Delegate.XNNPACK) {
            throw UserError(
                "This model was trained for kernels that CompiledModel does not have; run it " +
                    "with the interpreter."
            )
        }
        model = compile()
    }

    override fun run(signature: String, inputs: Map<String, Tensor>): Map<String, Tensor> {
        val spec = file.signatures.getValue(signature)
        val used = buffers.getOrPut(signature) { created(signature, spec) }
        for ((name, tensor) in inputs) write(tensor, used.inputs.getValue(name))
        model.run(used.inputs, used.outputs, signature)
        return spec.outputs.mapValues { read(it.value, used.outputs.getValue(it.key)) }
    }

    override fun close() {
        for (used in buffers.values) (used.inputs.values + used.outputs.values).forEach { it.close() }
        model.close()
    }

    private fun created(signature: String, spec: SignatureSpec) =
        Buffers(
            spec.inputs.keys.associate { it to model.createInputBuffer(it, signature) },
            spec.outputs.keys.associate { it to model.createOutputBuffer(it, signature) }
        )

    private fun write(tensor: Tensor, buffer: TensorBuffer) =
        when (tensor) {
            is FloatTensor -> buffer.writeFloat(tensor.values)
            is IntTensor -> buffer.writeInt(tensor.values)
        }

    private fun read(spec: TensorSpec, buffer: TensorBuffer): Tensor =
        when (spec.type) {
            TensorSpec.Type.FLOAT32 -> FloatTensor(spec.shape, buffer.readFloat())
            TensorSpec.Type.INT32 -> IntTensor(spec.shape, buffer.readInt())
        }
}
