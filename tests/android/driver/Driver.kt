import java.io.File
import org.int4conformer.lite.EndpointConfig
import org.int4conformer.lite.PartialResult
import org.int4conformer.lite.Recognition
import org.int4conformer.lite.Recognizer
import org.int4conformer.lite.SearchOptions
import org.int4conformer.lite.SignatureSpec
import org.int4conformer.lite.SpeechActivity
import org.int4conformer.lite.TensorSpec
import org.int4conformer.lite.UserError
import org.int4conformer.lite.Word
import org.int4conformer.lite.file.Json
import org.int4conformer.lite.file.ModelFile
import org.int4conformer.lite.level
import org.int4conformer.lite.mayHoldSpeech
import org.int4conformer.lite.search.BeamConfig
import org.int4conformer.lite.search.Bias
import org.int4conformer.lite.search.ClosedList
import org.int4conformer.lite.search.NGramScorer
import org.int4conformer.lite.search.PhraseScorer
import org.int4conformer.lite.text.Spelling
import org.int4conformer.lite.text.Vocabulary
import org.int4conformer.lite.text.normalize
import org.int4conformer.litert.WeightCache

/** Carries out the cases of folders, `case.json` with `values.bin`, and leaves a `result.json` in each. */
fun main(arguments: Array<String>) = arguments.forEach { carryOut(File(it)) }

private fun carryOut(folder: File) {
    val fields = Fields(Json.parse(File(folder, "case.json").readText()), Values(File(folder, "values.bin")))
    val result =
        try {
            done(fields)
        } catch (error: UserError) {
            mapOf("refused" to error.message)
        }
    File(folder, "result.json").writeText(jsonText(result))
}

/** The fields of a JSON object. */
class Fields(value: Any?, val values: Values) {
    private val fields = value as Map<*, *>

    operator fun get(name: String): Any? = fields[name]

    fun text(name: String) = fields[name] as String

    fun number(name: String) = fields[name] as Double

    fun flag(name: String) = fields[name] as Boolean

    fun texts(name: String) = list(name).map { it as String }

    fun list(name: String) = (fields[name] ?: emptyList<Any>()) as List<*>

    fun part(name: String) = fields[name]?.let { Fields(it, values) }
}

private fun done(case: Fields): Any? =
    when (case.text("do")) {
        "read" -> read(case)
        "stream" -> stream(case)
        "recognize" -> recognize(case)
        "activity" -> activity(case)
        "endpoints" -> case.list("moments").map { endpoint(case, it as List<*>) }
        "normalize" -> case.texts("texts").map { normalize(it) }
        "spell" -> case.texts("texts").map { spelled(spelling(case), it) }
        "words" -> words(case)
        "bias" -> bias(case)
        "ngram" -> ngram(case)
        "weight_cache" -> weightCache(case)
        else -> error("there is no such case")
    }

/** Starts with caches, one after the other; what each finds in its own, and the files that it leaves. */
private fun weightCache(case: Fields): Any? {
    val folder = File(case.text("folder"))
    return case.list("starts").map {
        val start = Fields(it, case.values)
        var found: String? = null
        try {
            WeightCache(folder, start.text("checksum")).use { path ->
                found = File(path).takeIf { it.exists() }?.readText()
                File(path).writeText(start.text("writes"))
                if (start.flag("fails")) error("no memory")
            }
        } catch (_: IllegalStateException) {
        }
        mapOf("found" to found, "left" to folder.list().orEmpty().sorted())
    }
}

private fun read(case: Fields): Any? {
    val file = ModelFile.read(File(case.text("model")))
    val facts = file.metadata
    runner(case["runtime"], file, Recording(emptyList<Any>(), case.values)).close()
    return mapOf(
        "signatures" to file.signatures.mapValues { specs(it.value) },
        "checksum" to file.checksum,
        "sample_rate" to facts.sampleRate,
        "block_samples" to facts.blockSamples,
        "frame_samples" to facts.frameSamples,
        "max_symbols_per_frame" to facts.maxSymbolsPerFrame,
        "fixed_samples" to facts.fixedSamples,
        "recipe" to facts.recipe,
        "delegate" to facts.delegate.text,
        "pieces" to facts.vocabulary.pieces
    )
}

private fun specs(spec: SignatureSpec): Any? {
    val parts = listOf(spec.inputs, spec.outputs)
    return parts.map { part -> part.mapValues { listOf(typeName(it.value), it.value.shape) } }
}

private fun typeName(spec: TensorSpec) = if (spec.type == TensorSpec.Type.INT32) "int32" else "float32"

private fun recognizer(case: Fields, recording: Recording): Recognizer {
    val file = ModelFile.read(File(case.text("model")))
    return Recognizer(file, runner(case["runtime"], file, recording), gated = case.flag("gated"))
}

private fun options(case: Fields, vocabulary: Vocabulary): SearchOptions {
    val beam = case.part("beam")
    return SearchOptions(
        phrases = case.texts("phrases"),
        only = case.flag("only"),
        beam = beam?.let { BeamConfig(beamSize = it.number("beam_size").toInt(), nBest = it.number("n_best").toInt()) },
        lm = case["lm"]?.let { NGramScorer.read(File(it as String), vocabulary) }
    )
}

private fun stream(case: Fields): Any? {
    val recording = Recording(case.list("calls"), case.values)
    val recognizer = recognizer(case, recording)
    val stream = recognizer.stream(
        options(case, recognizer.metadata.vocabulary),
        if (case.flag("endpointing")) EndpointConfig() else null,
        case.flag("second_pass")
    )
    val results = ArrayList<PartialResult>()
    fun tell(next: (Boolean) -> PartialResult) {
        results.add(next(true))
        while (results.last().endpoint != null) results.add(next(false))
    }
    for (part in case.list("parts")) {
        val pcm = case.values.floats(part)
        tell { stream.feed(if (it) pcm else FloatArray(0)) }
    }
    tell { stream.finish() }
    check(recording.isAtEnd) { "not all recorded calls were made" }
    return results.map { partial(it) }
}

private fun partial(result: PartialResult) =
    mapOf(
        "final" to result.finalText,
        "text" to result.text,
        "words" to result.finalWords.map { word(it) },
        "endpoint" to result.endpoint?.text
    )

private fun word(word: Word) = listOf(word.text, word.start, word.end, word.confidence)

private fun recognize(case: Fields): Any? {
    val recording = Recording(case.list("calls"), case.values)
    val recognizer = recognizer(case, recording)
    val pcm = case.values.floats(case["pcm"])
    val found: List<Recognition> = recognizer.recognize(pcm, options(case, recognizer.metadata.vocabulary))
    check(recording.isAtEnd) { "not all recorded calls were made" }
    return found.map { mapOf("text" to it.text, "words" to it.words.map { word(it) }, "score" to it.score) }
}

private fun activity(case: Fields): Any? {
    val activity = SpeechActivity(case.number("rate").toInt())
    val parts = case.list("parts").map { case.values.floats(it) }
    val all = parts.fold(FloatArray(0)) { all, part -> all + part }
    return mapOf(
        "active" to parts.map {
            activity.hear(it)
            activity.lastActive
        },
        "speech" to mayHoldSpeech(all, case.number("rate").toInt()),
        "level" to level(all)
    )
}

private fun endpoint(case: Fields, moment: List<*>): String? {
    val rules = case.list("rules").map { it as Double }
    val (length, sinceWord, sinceActive) = moment
    return EndpointConfig(rules[0], rules[1], rules[2], rules[3])
        .endpoint(length as Double, sinceWord as Double?, sinceActive as Double)?.text
}

private fun spelling(case: Fields) =
    Spelling(
        Vocabulary(case.texts("pieces")),
        case["scores"]?.let { scores -> (scores as List<*>).map { it as Double } },
        case.flag("marks_first_word")
    )

private fun spelled(spelling: Spelling, text: String): Any? =
    try {
        spelling.encode(text)
    } catch (error: UserError) {
        error.message
    }

private fun ints(value: Any?) = (value as List<*>).map { (it as Double).toInt() }

private fun words(case: Fields): Any? {
    val vocabulary = Vocabulary(case.texts("pieces"))
    return case.list("ids").map { ids -> vocabulary.words(ints(ids)).map { listOf(it.text, it.places) } }
}

/** Of sequences of labels: what each label adds, and the end. */
private fun bias(case: Fields): Any? {
    val spelling = spelling(case)
    val phrases = case.texts("phrases")
    val scorer: Bias = if (case.flag("only")) ClosedList(phrases, spelling) else PhraseScorer.of(phrases, spelling)
    return case.list("labels").map { labels ->
        var state = scorer.start
        ints(labels).map { label ->
            val added = scorer.scores(state)[label]
            state = scorer.advance(state, label)
            added
        } + scorer.final(state)
    }
}

private fun ngram(case: Fields): Any? {
    val scorer = NGramScorer.read(File(case.text("model")), Vocabulary(case.texts("pieces")))
    return case.list("labels").map { labels ->
        var state = scorer.start
        ints(labels).map { label ->
            val score = scorer.score(state, label)
            state = scorer.advance(state, label)
            score
        } + scorer.final(state)
    }
}
