package org.int4conformer.app

import android.content.Context
import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel
import java.io.File
import java.io.FileInputStream
import java.io.IOException
import java.nio.channels.FileChannel
import org.int4conformer.lite.Recognizer
import org.int4conformer.lite.SignatureRunner
import org.int4conformer.lite.file.ModelFile
import org.int4conformer.litert.CompiledModelRunner
import org.int4conformer.litert.InterpreterRunner
import org.int4conformer.litert.WeightCache

private const val NAME = "recognizer.tflite"
private const val CACHES = "weights"
private const val THREADS = 2

/** Where the app's model is: a file that was pushed, else an asset. */
class ModelSource(private val context: Context) {
    /** LiteRT's two ways to run a model. */
    enum class Runtime { INTERPRETER, COMPILED_MODEL }

    private val pushed = File(context.filesDir, NAME)

    /** The recogniser of the model; null if there is none. It takes a while: not for the main thread. */
    fun open(runtime: Runtime): Recognizer? {
        val file = if (pushed.isFile) ModelFile.read(pushed) else asset() ?: return null
        return Recognizer(file, runner(file, runtime))
    }

    private fun runner(file: ModelFile, runtime: Runtime): SignatureRunner =
        when (runtime) {
            Runtime.INTERPRETER -> InterpreterRunner(file, THREADS)
            Runtime.COMPILED_MODEL -> CompiledModelRunner(file) { cache(file).use { compiled(it) } }
        }

    private fun cache(file: ModelFile) = WeightCache(File(context.cacheDir, CACHES), file.checksum)

    private fun compiled(cache: String): CompiledModel {
        val options = CompiledModel.Options(Accelerator.CPU)
        options.cpuOptions = CompiledModel.CpuOptions(numThreads = THREADS, xnnPackWeightCachePath = cache)
        return if (pushed.isFile) {
            CompiledModel.create(pushed.path, options)
        } else {
            CompiledModel.create(context.assets, NAME, options)
        }
    }

    private fun asset(): ModelFile? {
        val descriptor =
            try {
                context.assets.openFd(NAME)
            } catch (absent: IOException) {
                return null
            }
        return descriptor.use {
            FileInputStream(it.fileDescriptor).channel.use { channel ->
                val mode = FileChannel.MapMode.READ_ONLY
                ModelFile.of(channel.map(mode, it.startOffset, it.declaredLength), NAME)
            }
        }
    }
}
