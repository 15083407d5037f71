package org.int4conformer.app

import android.Manifest
import android.app.Activity
import android.content.Intent
import android.content.pm.PackageManager
import android.net.Uri
import android.os.Bundle
import android.provider.Settings
import android.text.SpannableString
import android.text.Spanned
import android.text.style.ForegroundColorSpan
import android.view.View
import android.view.WindowManager
import android.widget.Button
import android.widget.ProgressBar
import android.widget.ScrollView
import android.widget.TextView
import org.int4conformer.lite.PartialResult

private const val REQUEST = 1

/** Set by `am start --es runner compiled_model`. */
private const val RUNNER = "runner"

/** Shows what is said: final words, then those that may still change, and how loud it is. */
class MainActivity : Activity() {
    private lateinit var status: TextView
    private lateinit var level: ProgressBar
    private lateinit var scroll: ScrollView
    private lateinit var ended: TextView
    private lateinit var spoken: TextView
    private lateinit var button: Button
    private var listener: Listener? = null

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.main)
        status = findViewById(R.id.status)
        level = findViewById(R.id.level)
        scroll = findViewById(R.id.scroll)
        ended = findViewById(R.id.ended)
        spoken = findViewById(R.id.spoken)
        button = findViewById(R.id.button)
        show(getString(R.string.stopped), R.string.start) { listen() }
    }

    override fun onStop() {
        stop()
        super.onStop()
    }

    override fun onRequestPermissionsResult(request: Int, permissions: Array<String>, results: IntArray) {
        super.onRequestPermissionsResult(request, permissions, results)
        when {
            isAllowed() -> listen()
            // The question was taken away before there was an answer.
            results.isEmpty() -> Unit
            // Android asks no more once it was refused twice.
            shouldShowRequestPermissionRationale(Manifest.permission.RECORD_AUDIO) ->
                show(getString(R.string.permission_needed), R.string.start) { listen() }
            else -> show(getString(R.string.permission_refused), R.string.open_settings) { openSettings() }
        }
    }

    private fun isAllowed() =
        checkSelfPermission(Manifest.permission.RECORD_AUDIO) == PackageManager.PERMISSION_GRANTED

    private fun listen() {
        if (listener != null) return
        if (!isAllowed()) {
            requestPermissions(arrayOf(Manifest.permission.RECORD_AUDIO), REQUEST)
            return
        }
        val isCompiled = intent.getStringExtra(RUNNER) == "compiled_model"
        val runtime = if (isCompiled) ModelSource.Runtime.COMPILED_MODEL else ModelSource.Runtime.INTERPRETER
        listener = Listener(ModelSource(applicationContext), runtime, OnMainThread()).also { it.start() }
        window.addFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON)
        show(getString(R.string.loading), R.string.stop) { stop() }
    }

    private fun stop() {
        listener?.stop()
    }

    /** What the listener tells, shown on the main thread. */
    private inner class OnMainThread : Hearing {
        override fun onListening() = runOnUiThread {
            show(getString(R.string.listening), R.string.stop) { stop() }
        }

        override fun onHeard(result: PartialResult, level: Double) = runOnUiThread { showHeard(result, level) }

        override fun onEnded(reason: Reason?) = runOnUiThread { showEnded(reason) }
    }

    private fun showHeard(result: PartialResult, loudness: Double) {
        level.progress = (100 * loudness).toInt()
        if (result.endpoint == null) {
            spoken.text = coloured(result)
        } else {
            endLine(result.text)
        }
        scroll.post { scroll.fullScroll(View.FOCUS_DOWN) }
    }

    private fun showEnded(reason: Reason?) {
        listener = null
        window.clearFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON)
        level.progress = 0
        endLine(spoken.text.toString())
        val sentence = when (reason) {
            null -> getString(R.string.stopped)
            is Reason.NoModel -> getString(R.string.no_model)
            is Reason.Failure -> getString(R.string.failed, reason.sentence)
        }
        show(sentence, R.string.start) { listen() }
    }

    /** The utterance becomes a line of those that have ended. */
    private fun endLine(text: String) {
        if (text.isNotEmpty()) ended.append(text + "\n")
        spoken.text = ""
    }

    /** The words, those that may still change in the theme's secondary colour. */
    private fun coloured(result: PartialResult): CharSequence {
        val text = SpannableString(result.text)
        // The last final word may go on in the first one that is not.
        val start = minOf(result.finalText.length, text.length)
        val colours = obtainStyledAttributes(intArrayOf(android.R.attr.textColorSecondary))
        val colour = colours.getColor(0, spoken.currentTextColor)
        colours.recycle()
        text.setSpan(ForegroundColorSpan(colour), start, text.length, Spanned.SPAN_EXCLUSIVE_EXCLUSIVE)
        return text
    }

    private fun show(sentence: String, label: Int, onPress: () -> Unit) {
        status.text = sentence
        button.setText(label)
        button.setOnClickListener { onPress() }
    }

    private fun openSettings() {
        val app = Uri.fromParts("package", packageName, null)
        startActivity(Intent(Settings.ACTION_APPLICATION_DETAILS_SETTINGS, app))
        show(getString(R.string.stopped), R.string.start) { listen() }
    }
}
