"""When a stream finds the ends of utterances, and what it makes of noise.

    python benchmarks/endpoints.py MODEL.tflite --manifest=PATH/an4 --split=dev

The split's recordings follow one another in an order drawn once, with two seconds of the room's own
noise between, and are fed in parts of 100 ms. The end of an utterance is found if an endpoint comes
between the end of speech in its recording and the start of the next; one before is too early. The
end of speech is where the recording's level last stands out from its noise. The response is counted
from there: what was waited for, and what it took to compute what was fed last.

With --parts=pauses recordings are heard one by one, after a pause of such noise.

With --pause_noise the pauses are of another noise, as much louder than the room as --pause_db says:
something that sets in where the speaker stops.

Words in ten minutes of each noise are counted with and without the gate; word errors, too. So are
recordings that the gate holds back when a noise as loud as the voice lies over them. Last the same
stream is repeated for an hour, for memory and for the times of words. --parts=noise measures
that alone, also of a model that hears whole utterances only.
"""

import difflib
import itertools
import resource
import statistics
import time
from collections.abc import Iterator, Sequence

import numpy as np
from absl import app, flags

from int4_conformer.audio.audio_files import SAMPLE_RATE
from int4_conformer.data.corpus import read_corpus
from int4_conformer.data.sources.noise import NoiseUtterance
from int4_conformer.lite.endpointing import EndpointConfig
from int4_conformer.lite.recognizer import Recognizer
from int4_conformer.lite.recognizer_stream import PartialResult, RecognizerStream
from int4_conformer.lite.speech_activity import SpeechActivity, may_hold_speech
from int4_conformer.pretrained.registry import model_file
from int4_conformer.text.metrics import word_errors
from int4_conformer.text.normalize import normalize

FLAGS = flags.FLAGS
flags.DEFINE_string("manifest", None, "The corpus.", required=True)
flags.DEFINE_string("split", "dev", "Its split.")
flags.DEFINE_float("pause", 2.0, "Seconds between two recordings.")
flags.DEFINE_enum("pause_noise", None, ["white", "pink"], "In the pauses; else the room's.")
flags.DEFINE_float("pause_db", 10.0, "By how much it is louder than the room.")
flags.DEFINE_multi_float("after_words", [0.8, 1.2], "Seconds of silence that end an utterance.")
flags.DEFINE_float("minutes", 10.0, "Of each noise.")
flags.DEFINE_float("hours", 1.0, "Of the stream that is repeated.")
flags.DEFINE_multi_float("before", [0.3, 1.0], "Seconds of pauses before recordings.")
_PARTS = ["errors", "pauses", "endpoints", "noise", "voices", "hours"]
flags.DEFINE_multi_enum("parts", _PARTS, _PARTS, "What to measure.")

_STEP = SAMPLE_RATE // 10


def main(argv: list[str]) -> None:
    path = model_file(argv[1])
    gated, ungated = (Recognizer(path, gated=is_gated) for is_gated in (True, False))
    utterances = list(read_corpus(FLAGS.manifest, FLAGS.split))
    utterances = [utterances[i] for i in np.random.default_rng(0).permutation(len(utterances))]
    clips = [utterance.samples() for utterance in utterances]
    texts = [normalize(utterance.text) for utterance in utterances]
    if "errors" in FLAGS.parts:
        _print_errors(gated, ungated, clips, texts)
    if "pauses" in FLAGS.parts:
        _print_pauses(gated, clips, texts)
    if "endpoints" in FLAGS.parts:
        _print_endpoints(gated, clips, texts)
    if "noise" in FLAGS.parts:
        _print_noise(gated, ungated, clips)
    if "voices" in FLAGS.parts:
        _print_voices(clips)
    if "hours" in FLAGS.parts:
        _print_hours(gated, clips)


def _print_errors(
    gated: Recognizer, ungated: Recognizer, clips: Sequence[np.ndarray], texts: Sequence[str]
) -> None:
    print("| recordings one by one | WER |\n|---|---|")
    for name, recognizer in (("without the gate", ungated), ("with it", gated)):
        found = [normalize(recognizer.transcribe(clip)) for clip in clips]
        print(f"| {name} | {100 * word_errors(texts, found).wer:.2f}% |")


def _print_pauses(
    recognizer: Recognizer, clips: Sequence[np.ndarray], texts: Sequence[str]
) -> None:
    print("\n| recordings after a pause of | WER |\n|---|---|")
    for seconds in FLAGS.before:
        late = (
            np.concatenate([_room(clip, seconds, number), clip])
            for number, clip in enumerate(clips)
        )
        found = [normalize(recognizer.transcribe(clip)) for clip in late]
        print(f"| {seconds:g} s | {100 * word_errors(texts, found).wer:.2f}% |", flush=True)


def _print_endpoints(
    recognizer: Recognizer, clips: Sequence[np.ndarray], texts: Sequence[str]
) -> None:
    audio, starts, ends = _stream_of(clips)
    print(
        f"\n{len(clips)} utterances, {len(audio) / SAMPLE_RATE / 60:.1f} min\n\n"
        "| after_words | found | too early | too late or never | response, median | p95 | WER |\n"
        "|---|---|---|---|---|---|---|"
    )
    for seconds in FLAGS.after_words:
        rules = EndpointConfig(after_words=seconds)
        results = list(_heard(recognizer, audio, rules))
        points = [(now, busy) for result, now, busy in results if result.endpoint is not None]
        found = early = 0
        responses = []
        following = [*starts[1:], len(audio) / SAMPLE_RATE]
        for start, end, later in zip(starts, ends, following, strict=True):
            # What is reported in the 100 ms in which speech ends is not early.
            early += sum(start < now < end for now, _ in points)
            within = [(now, busy) for now, busy in points if end <= now <= later]
            if within:
                found += 1
                responses.append(within[0][0] - end + within[0][1])
        said = " ".join(normalize(result.text) for result, *_ in results)
        errors = word_errors([" ".join(texts)], [said])
        print(
            f"| {seconds:g} s | {found} | {early} | {len(clips) - found} "
            f"| {statistics.median(responses):.2f} s | {np.quantile(responses, 0.95):.2f} s "
            f"| {100 * errors.wer:.2f}% |"
        )


def _print_noise(gated: Recognizer, ungated: Recognizer, clips: Sequence[np.ndarray]) -> None:
    print(f"\n| {FLAGS.minutes:g} min of | words without the gate | words with it |\n|---|---|---|")
    for kind, noise in _noises(clips).items():
        words = [
            sum(len(result.text.split()) for result, *_ in _heard(r, noise, EndpointConfig()))
            for r in (ungated, gated)
        ]
        print(f"| {kind} | {words[0]} | {words[1]} |", flush=True)


def _print_voices(clips: Sequence[np.ndarray]) -> None:
    ratios = (10.0, 5.0, 0.0)
    print(
        f"\n| recordings held back, of {len(clips)} | {' | '.join(f'{x:g} dB' for x in ratios)} |"
    )
    print("|---|---|---|---|")
    for kind in ("white", "pink", "brown"):
        held = [
            sum(
                not may_hold_speech(_in_noise(clip, kind, ratio, number), SAMPLE_RATE)
                for number, clip in enumerate(clips)
            )
            for ratio in ratios
        ]
        print(f"| {kind} noise | {' | '.join(map(str, held))} |")


def _in_noise(clip: np.ndarray, kind: str, ratio_db: float, seed: int) -> np.ndarray:
    """A recording in noise, the louder half of its 20 ms so many dB above it."""
    blocks = clip[: len(clip) // 320 * 320].reshape(-1, 320)
    powers = np.sort(np.mean(np.square(blocks, dtype=np.float64), axis=1))
    power = np.mean(powers[len(powers) // 2 :])
    noise = _colored(kind, len(clip), seed)
    return (clip + noise * np.sqrt(power) * 10 ** (-ratio_db / 20)).astype(np.float32)


def _colored(kind: str, count: int, seed: int) -> np.ndarray:
    """Noise of deviation 1."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(count))
    hertz = np.maximum(np.fft.rfftfreq(count, 1 / SAMPLE_RATE), 40.0)
    spectrum *= hertz ** {"white": 0.0, "pink": -0.5, "brown": -1.0}[kind]
    noise = np.fft.irfft(spectrum, count)
    return noise / np.std(noise)


def _print_hours(recognizer: Recognizer, clips: Sequence[np.ndarray]) -> None:
    audio, *_ = _stream_of(clips)
    rounds = max(2, round(FLAGS.hours * 3600 * SAMPLE_RATE / len(audio)))
    stream, words, memory = recognizer.stream(endpointing=EndpointConfig()), [], []
    begun = time.perf_counter()
    for number in range(rounds):
        ended = [x for x in _fed(stream, audio) if x.endpoint is not None]
        found = [word for result in ended for word in result.final_words]
        words.append([(w.text, w.start - number * len(audio) / SAMPLE_RATE) for w in found])
        memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    seconds = time.perf_counter() - begun
    apart = [x for later in words[1:-1] for x in _apart(words[0], later)]
    print(
        f"\n{rounds * len(audio) / SAMPLE_RATE / 3600:.2f} h in {seconds / 60:.1f} min; "
        f"memory after each round, MB: {', '.join(f'{x:.0f}' for x in memory)}; words of a round: "
        f"{', '.join(str(len(x)) for x in words)}; times of words between rounds apart by "
        f"{max(apart):.2f} s at most"
    )


def _apart(one: Sequence[tuple[str, float]], other: Sequence[tuple[str, float]]) -> list[float]:
    """By how much the times of words differ that two rounds have in common."""
    texts = ([text for text, _ in words] for words in (one, other))
    blocks = difflib.SequenceMatcher(None, *texts, autojunk=False).get_matching_blocks()
    return [
        abs(one[block.a + place][1] - other[block.b + place][1])
        for block in blocks
        for place in range(block.size)
    ]


def _fed(stream: RecognizerStream, audio: np.ndarray) -> Iterator[PartialResult]:
    for start in range(0, len(audio), _STEP):
        yield (result := stream.feed(audio[start : start + _STEP]))
        while result.endpoint is not None:
            yield (result := stream.feed(audio[:0]))


def _heard(
    recognizer: Recognizer, audio: np.ndarray, rules: EndpointConfig
) -> Iterator[tuple[PartialResult, float, float]]:
    """The last result of each utterance, the seconds of audio fed then, and what computing took."""
    now = begun = 0.0

    def parts() -> Iterator[np.ndarray]:
        nonlocal now, begun
        for start in range(0, len(audio), _STEP):
            now, begun = min(start + _STEP, len(audio)) / SAMPLE_RATE, time.perf_counter()
            yield audio[start : start + _STEP]

    result = None
    for result in recognizer.listen(parts(), endpointing=rules):
        if result.endpoint is not None:
            yield result, now, time.perf_counter() - begun
    yield result, now, 0.0


def _stream_of(clips: Sequence[np.ndarray]) -> tuple[np.ndarray, list[float], list[float]]:
    """The recordings with pauses, and in seconds where each begins and where its speech ends."""
    parts, starts, ends, place = [], [], [], 0
    for number, clip in enumerate(clips):
        pause = _room(clip, FLAGS.pause, number)
        activity = SpeechActivity(SAMPLE_RATE)
        activity.hear(clip)
        starts.append(place / SAMPLE_RATE)
        ends.append(place / SAMPLE_RATE + (activity.last_active or len(clip) / SAMPLE_RATE))
        parts += [clip, pause]
        place += len(clip) + len(pause)
    return np.concatenate(parts), starts, ends


def _room(clip: np.ndarray, seconds: float, seed: int) -> np.ndarray:
    """As that of the quietest tenth of a second of a recording, or what --pause_noise says."""
    size = SAMPLE_RATE // 10
    power = np.convolve(np.square(clip, dtype=np.float64), np.ones(size), "valid")
    quietest = clip[(start := int(np.argmin(power))) : start + size]
    count = round(seconds * SAMPLE_RATE)
    if FLAGS.pause_noise:
        level = max(float(np.std(quietest)), 1e-4) * 10 ** (FLAGS.pause_db / 20)
        return (level * _colored(FLAGS.pause_noise, count, seed)).astype(np.float32)
    spectrum = np.abs(np.fft.rfft(quietest * np.hanning(size)))
    white = np.fft.rfft(np.random.default_rng(seed).standard_normal(count))
    shape = np.interp(np.linspace(0, 1, len(white)), np.linspace(0, 1, len(spectrum)), spectrum)
    noise = np.fft.irfft(white * shape, count)
    return (noise * np.std(quietest) / np.std(noise)).astype(np.float32)


def _noises(clips: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    seconds = FLAGS.minutes * 60
    noises = {"digital silence": np.zeros(round(seconds * SAMPLE_RATE), np.float32)}
    for kind in ("hum", "white", "pink", "brown"):
        for steady in (True, False):
            name = f"{kind} noise, {'steady' if steady else 'swelling'}"
            noises[name] = _noise(kind, seconds, steady=steady)
    rng, length = np.random.default_rng(0), round(seconds * SAMPLE_RATE)
    for voices in (4, 12):
        total = np.zeros(length)
        for _ in range(voices):
            order = rng.permutation(len(clips))
            speech = np.concatenate([clips[i] for i in order])
            total += np.resize(speech, length) / np.sqrt(np.mean(np.square(speech)))
        babble = 0.05 * total / np.sqrt(np.mean(np.square(total)))
        noises[f"babble of {voices} voices"] = np.clip(babble, -1, 1).astype(np.float32)
    return noises


def _noise(kind: str, seconds: float, *, steady: bool) -> np.ndarray:
    """Noise at -25 dB of full scale, of one loudness or of one that goes up and down."""
    for seed in itertools.count():
        noise = NoiseUtterance(kind=kind, duration=seconds, level_db=-25.0, seed=seed)
        samples = noise.samples()
        whole = samples[: len(samples) // SAMPLE_RATE * SAMPLE_RATE].reshape(-1, SAMPLE_RATE)
        power = np.mean(np.square(whole, dtype=np.float64), axis=1)
        if (power.max() < 2 * power.min()) == steady:
            return samples
    raise AssertionError


if __name__ == "__main__":
    app.run(main)
