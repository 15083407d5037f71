import android.content.Context
import java.io.FileInputStream
import java.nio.FloatBuffer
import java.nio.IntBuffer
import java.nio.MappedByteBuffer
import java.nio.channels.FileChannel
import org.json.JSONObject
import org.tensorflow.lite.Interpreter

/**
 * Recognises whole utterances with a file that `int4-conformer export` wrote.
 *
 * @param model name of the `.tflite` asset.
 * @param vocabulary name of the asset with `{"pieces": [...]}` from the file's metadata.
 * @param threads CPU threads that one call may use.
 * @param xnnpack whether the metadata's `delegate` is "xnnpack".
 */
class Recognizer(
    context: Context,
    model: String,
    vocabulary: String,
    threads: Int = 2,
    xnnpack: Boolean = true,
) : AutoCloseable {
    private val interpreter =
        Interpreter(
            map(context, model),
            Interpreter.Options().setNumThreads(threads).setUseXNNPACK(xnnpack),
        )
    private val pieces: List<String>

    init {
        val text = context.assets.open(vocabulary).bufferedReader().use { it.readText() }
        val array = JSONObject(text).getJSONArray("pieces")
        pieces = List(array.length()) { array.getString(it) }
    }

    /** The words of one utterance: samples at 16 kHz, mono, in -1..1. */
    @Synchronized
    fun transcribe(samples: FloatArray): String {
        require(samples.isNotEmpty()) { "There is no sample to recognise." }
        // Padded with silence to whole blocks.
        val pcm = samples.copyOf((samples.size + BLOCK - 1) / BLOCK * BLOCK)
        interpreter.resizeInput(0, intArrayOf(pcm.size))
        interpreter.allocateTensors()
        val capacity = interpreter.getOutputTensorFromSignature("tokens", SIGNATURE).numElements()
        val tokens = IntBuffer.allocate(capacity)
        val count = IntBuffer.allocate(1)
        interpreter.runSignature(
            mapOf("pcm" to FloatBuffer.wrap(pcm)),
            mapOf("tokens" to tokens, "count" to count),
            SIGNATURE,
        )
        val text = StringBuilder()
        for (i in 0 until count[0]) text.append(pieces[tokens[i]])
        return text.toString().replace('▁', ' ').trim()
    }

    override fun close() = interpreter.close()

    private companion object {
        const val SIGNATURE = "serving_default"
        const val BLOCK = 640

        fun map(context: Context, asset: String): MappedByteBuffer =
            context.assets.openFd(asset).use { file ->
                FileInputStream(file.fileDescriptor).channel.use { channel ->
                    channel.map(FileChannel.MapMode.READ_ONLY, file.startOffset, file.declaredLength)
                }
            }
    }
}
