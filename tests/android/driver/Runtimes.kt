import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel
import org.int4conformer.lite.FloatTensor
import org.int4conformer.lite.IntTensor
import org.int4conformer.lite.SignatureRunner
import org.int4conformer.lite.Tensor
import org.int4conformer.lite.file.Metadata
import org.int4conformer.lite.file.ModelFile
import org.int4conformer.litert.CompiledModelRunner
import org.int4conformer.litert.InterpreterRunner
import stubs.Answers

/** The recording itself, or one of the app's ways to LiteRT, where the recording answers for LiteRT. */
fun runner(runtime: Any?, file: ModelFile, recording: Recording): SignatureRunner {
    Answers.of = { signature, arrays ->
        val specs = file.signatures.getValue(signature).inputs
        recording
            .run(signature, arrays.mapValues { tensor(specs.getValue(it.key).shape, it.value) })
            .mapValues { array(it.value) }
    }
    return when (runtime) {
        "interpreter" -> InterpreterRunner(file, 2).also {
            check(Answers.usesXnnpack == (file.metadata.delegate == Metadata.Delegate.XNNPACK))
        }
        "compiled_model" -> CompiledModelRunner(file) {
            CompiledModel.create("model", CompiledModel.Options(Accelerator.CPU))
        }
        else -> recording
    }
}

private fun tensor(shape: List<Int>, values: Any): Tensor =
    if (values is FloatArray) FloatTensor(shape, values) else IntTensor(shape, values as IntArray)

private fun array(tensor: Tensor): Any =
    when (tensor) {
        is FloatTensor -> tensor.values
        is IntTensor -> tensor.values
    }
