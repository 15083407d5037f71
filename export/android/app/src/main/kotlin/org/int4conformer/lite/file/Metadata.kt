package org.int4conformer.lite.file

import org.int4conformer.lite.UserError
import org.int4conformer.lite.text.Spelling
import org.int4conformer.lite.text.Vocabulary

/**
 * What the runtime has to know of a model.
 *
 * @property sampleRate rate of the model's input in Hz.
 * @property blockSamples an utterance is padded with silence to a multiple of so many.
 * @property recipe name of the quantization recipe that the model was trained with.
 * @property delegate whose kernels compute the integers of training.
 * @property frameSamples samples from one frame in which tokens are emitted to the next.
 * @property spelling how texts are spelled; null in files that have the greedy search alone.
 * @property maxSymbolsPerFrame the most labels that a search emits in a frame.
 * @property fixedSamples length of whole utterances in a file that does not take any length.
 */
class Metadata(
    val sampleRate: Int,
    val blockSamples: Int,
    val vocabulary: Vocabulary,
    val recipe: String,
    val delegate: Delegate,
    val frameSamples: Int,
    val spelling: Spelling?,
    val maxSymbolsPerFrame: Int?,
    val fixedSamples: Int?
) {
    enum class Delegate(val text: String) {
        XNNPACK("xnnpack"),

        /** The built-in kernels, without XNNPACK. */
        NONE("none")
    }

    companion object {
        const val NAME = "int4_conformer"
        const val FORMAT = 1

        // Fields of the entry.
        const val SAMPLE_RATE = "sample_rate"
        const val BLOCK_SAMPLES = "block_samples"
        const val VOCABULARY = "vocabulary"
        const val RECIPE = "recipe"
        const val DELEGATE = "delegate"
        const val FRAME_SAMPLES = "frame_samples"
        const val SPELLING = "spelling"
        const val MAX_SYMBOLS_PER_FRAME = "max_symbols_per_frame"
        const val FIXED_SAMPLES = "fixed_samples"
        private const val PIECES = "pieces"
        private const val PIECE_SCORES = "piece_scores"
        private const val MARKS_FIRST_WORD = "marks_first_word"

        /** The metadata in an entry's JSON text. */
        fun of(json: String, source: String): Metadata {
            try {
                return of(fields(Json.parse(json)), source)
            } catch (error: RuntimeException) {
                // A field is missing, or of another type than it should be.
                throw UserError("The metadata of $source cannot be read; export the file again.", error)
            }
        }

        private fun of(entry: Map<String, Any?>, source: String): Metadata {
            val format = number(entry["format"])
            if (format > FORMAT) {
                throw UserError(
                    "$source has metadata of format $format and this app reads up to $FORMAT; " +
                        "update the app."
                )
            }
            val frameSamples = entry[FRAME_SAMPLES] ?: throw UserError(
                "$source was exported before words had times; export the model again."
            )
            val pieces = fields(entry[VOCABULARY])[PIECES] as List<*>
            val vocabulary = Vocabulary(pieces.map { it as String })
            return Metadata(
                sampleRate = number(entry[SAMPLE_RATE]),
                blockSamples = number(entry[BLOCK_SAMPLES]),
                vocabulary = vocabulary,
                recipe = entry[RECIPE] as String,
                delegate = Delegate.values().first { it.text == entry[DELEGATE] },
                frameSamples = number(frameSamples),
                spelling = entry[SPELLING]?.let { spelling(fields(it), vocabulary) },
                maxSymbolsPerFrame = entry[MAX_SYMBOLS_PER_FRAME]?.let { number(it) },
                fixedSamples = entry[FIXED_SAMPLES]?.let { number(it) }
            )
        }

        private fun spelling(config: Map<String, Any?>, vocabulary: Vocabulary) =
            Spelling(
                vocabulary,
                (config[PIECE_SCORES] as List<*>?)?.map { it as Double },
                config[MARKS_FIRST_WORD] as Boolean
            )

        private fun number(value: Any?): Int = (value as Double).toInt()

        private fun fields(value: Any?): Map<String, Any?> =
            (value as Map<*, *>).entries.associate { (it.key as String) to it.value }
    }
}
