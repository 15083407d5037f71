package org.int4conformer.lite

import java.io.Closeable
import org.int4conformer.lite.file.Metadata
import org.int4conformer.lite.file.ModelFile
import org.int4conformer.lite.search.BIAS_SCORE
import org.int4conformer.lite.search.BeamConfig
import org.int4conformer.lite.search.ClosedList
import org.int4conformer.lite.search.FileNetwork
import org.int4conformer.lite.search.Hypothesis
import org.int4conformer.lite.search.LanguageModel
import org.int4conformer.lite.search.PhraseScorer
import org.int4conformer.lite.search.StreamSearch
import org.int4conformer.lite.search.TimeSynchronousSearch

/**
 * What a search heeds beside the model.
 *
 * @property phrases words to prefer, such as names; with [only], all that may be said.
 * @property only whether nothing but the phrases may be said; then they are plain words.
 * @property bonus added for each token of a preferred phrase, in nats.
 * @property beam how wide to search; the defaults if there are phrases or a language model, else
 *   greedily.
 * @property lm a language model over the model's tokens.
 */
data class SearchOptions(
    val phrases: List<String> = emptyList(),
    val only: Boolean = false,
    val bonus: Double = BIAS_SCORE,
    val beam: BeamConfig? = null,
    val lm: LanguageModel? = null
) {
    internal val isGreedy: Boolean
        get() = phrases.isEmpty() && beam == null && lm == null
}

/**
 * What was said in an utterance.
 *
 * @property score by which a beam search ranks it; null of greedy search.
 */
data class Recognition(val text: String, val words: List<Word>, val score: Double?)

/**
 * Recognises speech with a file that `int4-conformer export` wrote.
 *
 * It calls [runner] on the thread that calls it, and is not for several threads at once.
 *
 * @param gated whether silence and steady noise have no words, whatever the model makes of them.
 */
class Recognizer(
    private val file: ModelFile,
    private val runner: SignatureRunner,
    private val gated: Boolean = true
) : Closeable {
    val metadata: Metadata
        get() = file.metadata

    private val frameSeconds = metadata.frameSamples.toDouble() / metadata.sampleRate

    /** Whether [stream] hears speech while it is spoken. */
    val isStreamable: Boolean
        get() = Names.FIRST_PASS in file.signatures

    /**
     * Recognises speech while it is spoken.
     *
     * @param endpointing when an utterance ends and the next one begins; null: all is one.
     * @param secondPass whether the second of two passes runs, too. Without it words come as soon
     *   and cost less, and none is corrected.
     */
    fun stream(
        options: SearchOptions = SearchOptions(),
        endpointing: EndpointConfig? = EndpointConfig(),
        secondPass: Boolean = true
    ): RecognizerStream {
        if (!isStreamable) {
            throw UserError(
                "This model hears whole utterances only; train one whose encoder has a chunk and " +
                    "a left context, such as the preset streaming_s."
            )
        }
        val search = search(options)
        val hasSecond = Names.SECOND_PASS in file.signatures
        if (hasSecond && !secondPass && search != null) {
            throw UserError("Phrases, language models and beams are for the second pass; run it.")
        }
        return RecognizerStream(
            first = pass(Names.FIRST_PASS, Names.PCM),
            second = if (hasSecond && secondPass) pass(Names.SECOND_PASS, Names.ENCODED) else null,
            vocabulary = metadata.vocabulary,
            blockSamples = metadata.blockSamples,
            frameSeconds = frameSeconds,
            sampleRate = metadata.sampleRate,
            search = search?.let { StreamSearch(it, commits = !options.only) },
            endpointing = endpointing,
            gated = gated
        )
    }

    /**
     * What was said in one utterance, the best first; empty if nothing was.
     *
     * The file must have been exported with `--fixed_seconds`, and takes no more of them: memory
     * grows with the square of the length. Long recordings are for [stream].
     *
     * @param pcm mono, in -1..1, at the model's rate.
     */
    fun recognize(pcm: FloatArray, options: SearchOptions = SearchOptions()): List<Recognition> {
        val samples = checked(pcm)
        val inputs = whole(samples)
        val search = search(options)
        if (gated && !mayHoldSpeech(samples, metadata.sampleRate)) return emptyList()
        if (search == null) {
            val tokens = readTokens(runner.run(Names.SERVING_DEFAULT, inputs))
            return listOf(recognition(tokens, samples, null))
        }
        val outputs = runner.run(Names.ENCODE, inputs)
        val length = outputs.ints(Names.LENGTH)[0]
        val frames = Frames.of(outputs.getValue(Names.ENCODED) as FloatTensor, length)
        val found: List<Hypothesis> = search.finish(search.advance(frames, search.start()))
        return found.map { recognition(it.tokens, samples, it.score) }
    }

    override fun close() = runner.close()

    private fun recognition(tokens: List<Token>, pcm: FloatArray, score: Double?): Recognition {
        val duration = pcm.size.toDouble() / metadata.sampleRate
        val words = timedWords(metadata.vocabulary, tokens, frameSeconds, duration)
        return Recognition(words.joinToString(" ") { it.text }, words, score)
    }

    private fun whole(pcm: FloatArray): Map<String, Tensor> {
        val fixed = metadata.fixedSamples ?: throw UserError(
            "This file hears whole utterances of any length, which needs inputs that are sized " +
                "anew; export one with --fixed_seconds, or use a stream."
        )
        if (pcm.size > fixed) {
            throw UserError(
                "One call of this file hears ${fixed / metadata.sampleRate} s at most; use a " +
                    "stream, or export one with more --fixed_seconds."
            )
        }
        return mapOf(
            Names.PCM to FloatTensor(listOf(fixed), pcm.copyOf(fixed)),
            Names.LENGTH to IntTensor(listOf(1), intArrayOf(pcm.size))
        )
    }

    /** What searches with a beam; null for the greedy search. */
    private fun search(options: SearchOptions): TimeSynchronousSearch? {
        if (options.only && options.phrases.isEmpty()) {
            throw UserError("With `only` nothing can be said without phrases; give some.")
        }
        if (options.isGreedy) return null
        val spelling = metadata.spelling
        val symbols = metadata.maxSymbolsPerFrame
        if (spelling == null || symbols == null || Names.JOIN !in file.signatures) {
            throw UserError(
                "This file was exported before it had other searches than the greedy one; export " +
                    "the model again."
            )
        }
        val bias = when {
            options.phrases.isEmpty() -> null
            options.only -> ClosedList(options.phrases, spelling)
            else -> PhraseScorer.of(options.phrases, spelling, options.bonus)
        }
        return TimeSynchronousSearch(
            network = FileNetwork(runner::run, file.signatures.getValue(Names.PREDICT)),
            maxSymbolsPerFrame = symbols,
            config = options.beam ?: BeamConfig(),
            bias = bias,
            lm = options.lm
        )
    }

    private fun pass(name: String, given: String) =
        Pass({ runner.run(name, it) }, file.signatures.getValue(name), given)
}
