"""Parsers of what strangers may write, each with valid inputs, for `fuzz.py`.

What is imported for one is imported in it, so that each process has what its parser needs.
"""

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from fuzz_inputs import MODEL, Inputs, Mutator, Target
from fuzz_model_targets import flatbuffer, metadata, recognizer

# Between the files of an input that is several.
_BETWEEN = b"\n=====\n"


def _sound(form: str = "WAV", subtype: str = "PCM_16", channels: int = 1) -> bytes:
    file = io.BytesIO()
    samples = np.random.default_rng(0).uniform(-0.3, 0.3, [3200, channels])
    soundfile.write(file, samples, 16000, format=form, subtype=subtype)
    return file.getvalue()


def _corpus(folder: Path, names: Sequence[str], sound: str = "a.wav") -> Callable[[bytes], Any]:
    """Reads an input as the files of a corpus, beside a recording."""
    from int4_conformer.data.corpus import normalized, read_corpus
    from int4_conformer.data.corpus_report import CorpusReport

    form = "FLAC" if sound.endswith("flac") else "WAV"
    for name in (*names, sound):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / sound).write_bytes(_sound(form))
    # A single table or file of cuts is told by its own name.
    path = folder / names[0] if len(names) == 1 and "/" not in names[0] else folder

    def act(content: bytes) -> None:
        parts = content.split(_BETWEEN, len(names) - 1)
        for name, part in zip(names, parts + [b""] * len(names), strict=False):
            (folder / name).write_bytes(part)
        report = CorpusReport("skip")
        utterances = normalized(read_corpus(path, None, report), report)
        "\n".join(report.lines())
        for utterance in utterances[:2]:
            utterance.text.encode()
            utterance.told_length()
            utterance.samples(on_note=lambda note: None)

    return act


def manifest(folder: Path) -> tuple[Inputs, Callable[[bytes], Any]]:
    lines = [
        {"audio": "a.wav", "text": "go on", "duration": 0.2, "speaker": "x", "split": "dev"},
        {"audio_filepath": "a.wav", "text": "stop", "offset": 0.1, "duration": 0.05, "lang": "en"},
        {"audio": "a.wav", "text": "stop"},
    ]
    seed = "\n".join(map(json.dumps, lines)).encode()
    return Mutator(seeds=[seed], is_json=True), _corpus(folder, ["m.jsonl"])


def lhotse(folder: Path) -> tuple[Inputs, Callable[[bytes], Any]]:
    source = {"type": "file", "channels": [0], "source": "a.wav"}
    recording = {"id": "r", "sources": [source], "sampling_rate": 16000, "num_samples": 3200}
    recording |= {"duration": 0.2, "channel_ids": [0]}
    spoken = {"id": "s", "recording_id": "r", "start": 0.0, "duration": 0.1, "text": "go"}
    cut = {"id": "c", "start": 0.0, "duration": 0.2, "channel": 0, "supervisions": [spoken]}
    cut |= {"recording": recording, "type": "MonoCut"}
    other = {**cut, "id": "d", "supervisions": [{**spoken, "duration": 0.2, "speaker": "x"}]}
    seed = f"{json.dumps(cut)}\n{json.dumps(other)}".encode()
    return Mutator(seeds=[seed], is_json=True), _corpus(folder, ["cuts.jsonl"])


def kaldi(folder: Path) -> tuple[Inputs, Callable[[bytes], Any]]:
    files = [
        b"r1 a.wav\nr2 a.wav\n",
        b"u1 go on\nu2 stop\n",
        b"u1 r1 0.0 0.1\nu2 r2 0.05 -1 A\n",
        b"u1 x\nu2 y\n",
        b"r1 0.2\nr2 0.2\n",
    ]
    words = (b" |", b" -1", b" B", b".ark:12", b" nan", b" inf", b" 1e400", b"u1 ", b"r2 ")
    names = ["wav.scp", "text", "segments", "utt2spk", "reco2dur"]
    seeds = [_BETWEEN.join(files), _BETWEEN.join([b"u1 a.wav\nu2 a.wav", files[1]])]
    return Mutator(seeds=seeds, words=words), _corpus(folder, names)


def tsv(folder: Path) -> tuple[Inputs, Callable[[bytes], Any]]:
    seed = b"path\tsentence\tduration\tclient_id\na.wav\tgo on\t0.2\tx\na.wav\tstop\t\ty\n"
    return Mutator(seeds=[seed], words=(b"\t", b"offset", b"split", b'"')), _corpus(
        folder, ["a.tsv"]
    )


def csv(folder: Path) -> tuple[Inputs, Callable[[bytes], Any]]:
    seed = b'audio,text,offset,duration\na.wav,"go, on",0.1,0.05\na.wav,stop,0,0.2\n'
    return Mutator(seeds=[seed], words=(b",", b'"', b'""', b"speaker")), _corpus(folder, ["a.csv"])


def librispeech(folder: Path) -> tuple[Inputs, Callable[[bytes], Any]]:
    seed = b"1-2-0000 GO ON\n1-2-0001 STOP\n"
    act = _corpus(folder, ["dev/1/2/1-2.trans.txt"], "dev/1/2/1-2-0000.flac")
    return Mutator(seeds=[seed], words=(b"1-2-0000 ", b"/", b"../")), act


def plain_folder(folder: Path) -> tuple[Inputs, Callable[[bytes], Any]]:
    return Mutator(seeds=[b"Go on, please.\n"]), _corpus(folder, ["train/a.txt"], "train/a.wav")


def prepared(folder: Path) -> tuple[Inputs, Callable[[bytes], Any]]:
    """The list of shards, and the index of one whose checksum is right."""
    import hashlib

    sound = _sound("FLAC")
    line = {"id": "a", "text": "go", "speaker": "", "start": 0, "size": len(sound), "samples": 3200}
    index = json.dumps({"utterances": [line]}).encode()
    shard = {"file": "a.tfrecord", "split": "train", "bytes": len(sound), "index_sha256": ""}
    listed = {"version": 1, "is_complete": True, "sample_rate": 16000, "shards": [shard]}
    read = _corpus(folder, ["prepared.json", "a.json"])
    (folder / "a.tfrecord").write_bytes(sound)

    def finished(content: bytes) -> bytes:
        _, _, index = content.partition(b"\n")
        digest = hashlib.sha256(index).hexdigest().encode()
        return content.replace(b'"index_sha256": ""', b'"index_sha256": "%s"' % digest)

    def act(content: bytes) -> None:
        read(content.replace(b"\n", _BETWEEN, 1))

    seed = json.dumps(listed).encode() + b"\n" + index
    return Mutator(seeds=[seed], is_json=True, finished=finished), act


def shards(folder: Path) -> tuple[Inputs, Callable[[bytes], Any]]:
    """TFRecord files."""
    from int4_conformer.data.shards import tfrecord

    seed = b"".join(map(tfrecord.framed, (b"a" * 20, b"", b"bc" * 300)))

    def act(content: bytes) -> None:
        file = io.BytesIO(content)
        for place, length in tfrecord.places(file, "a"):
            tfrecord.record_at(file, place, length, "a")

    return Mutator(seeds=[seed]), act


def grammar(folder: Path) -> tuple[Inputs, Callable[[bytes], Any]]:
    """Phrases, as lists and as grammars, and what is matched with them."""
    from int4_conformer.search.closed_list import ClosedList
    from int4_conformer.search.phrase_automaton import PhraseAutomaton, read_phrases
    from int4_conformer.text.graphemes import ENGLISH, Graphemes

    spelling = Graphemes(charset=f"{ENGLISH}0123456789")
    seeds = [
        b"timer = set a timer for {minutes:1..60} minutes\nstop\n",
        b"call {name: anna | (bob | robert) lee} [now]\n(zero | one | two)+\n",
        b"[a] [a] [a] ([b] | c)+ {x: (a b | [a])+}\n",
    ]
    words = (b"(", b")+", b"[", b"]", b"{a:", b"}", b"|", b"+", b"1..60", b"9..10008", b"a = ")
    path = folder / "phrases.txt"
    said = ("set a timer for twenty five minutes", "zero one two " * 30, "a b " * 40 + "c")

    def act(content: bytes) -> None:
        path.write_bytes(content)
        lines = read_phrases(path)
        closed = ClosedList(lines, spelling)
        for text in said:
            closed.grammar.match(text)
        closed.grammar.draw(np.random.default_rng(0))
        PhraseAutomaton.of(lines, spelling, 1.0)

    return Mutator(seeds=seeds, words=words), act


def arpa(folder: Path) -> tuple[Inputs, Callable[[bytes], Any]]:
    from int4_conformer.search.ngram_tables import NGramTables
    from int4_conformer.text.vocabulary import Vocabulary

    vocabulary = Vocabulary(pieces=("<blank>", "a", "b", "c"))
    seed = (
        b"\\data\\\nngram 1=6\nngram 2=3\n\n\\1-grams:\n-1.0\t<s>\t-0.5\n-1.0\t</s>\n-1.2\t<unk>\n"
        b"-0.7\ta\t-0.3\n-0.8\tb\t-0.2\n-0.9\tc\n\n\\2-grams:\n-0.3\t<s> a\n-0.4\ta b\n-0.5\tb </s>"
        b"\n\n\\end\\\n"
    )
    words = (b"<s>", b"</s>", b"\\2-grams:", b"ngram 3=1", b"\t", b"-inf", b"nan", b"\\end\\", b"a")
    path = folder / "lm.arpa"

    def act(content: bytes) -> None:
        path.write_bytes(content)
        NGramTables.read(path, vocabulary)

    return Mutator(seeds=[seed], words=words), act


def audio(folder: Path) -> tuple[Inputs, Callable[[bytes], Any]]:
    """Recordings, as a file of the folder and as one that was sent."""
    from int4_conformer.audio import audio_files

    kinds = [("WAV", "PCM_16"), ("WAV", "FLOAT"), ("WAV", "IMA_ADPCM"), ("FLAC", "PCM_16")]
    kinds += [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"), ("AIFF", "PCM_16")]
    kinds += [("AU", "ULAW"), ("CAF", "PCM_16"), ("RF64", "PCM_16"), ("W64", "PCM_16")]
    kinds += [("NIST", "PCM_16"), ("WAVEX", "PCM_24")]
    seeds = [_sound(*kind) for kind in kinds] + [_sound(channels=2)]
    tag = b"ID3\3\0\0\0\0\0\7" + bytes(7)
    seeds.append(tag + _sound("MP3", "MPEG_LAYER_III"))
    words = (
        b"RIFF",
        b"data",
        b"fmt ",
        b"LIST",
        b"ds64",
        b"SSND",
        b"COMM",
        b"caff",
        b".snd",
        b"riff",
    )
    words += (
        b"OggS",
        b"fLaC",
        b"Xing",
        b"Info",
        b"\xff\xfb",
        b"\xff\xff\xff\xff",
        b"\0\0\0\x80",
        tag,
    )
    words += (b"NIST_1A\n   1024\nsample_count -i " + b"9" * 400,)
    path = folder / "a.mp3"

    def act(content: bytes) -> None:
        path.write_bytes(content)
        for _ in audio_files.AudioFile(io.BytesIO(content), "a").blocks(on_note=lambda note: None):
            pass
        audio_files.duration(path)

    return Mutator(seeds=seeds, words=words), act


def piped_audio(folder: Path) -> tuple[Inputs, Callable[[bytes], Any]]:
    from int4_conformer.audio.piped_audio import PcmForm, PipedAudio

    subtypes = ("PCM_16", "PCM_U8", "PCM_24", "FLOAT", "DOUBLE")
    seeds = [_sound(subtype=subtype) for subtype in subtypes] + [_sound("WAVEX", channels=2)]

    def act(content: bytes) -> None:
        piped = PipedAudio(
            io.BytesIO(content).read, PcmForm(), is_raw=False, on_note=lambda note: None
        )
        for _ in piped.audio():
            pass

    return Mutator(seeds=seeds, words=(b"RIFF", b"data", b"fmt ", b"ds64", b"LIST")), act


def recipe(folder: Path) -> tuple[Inputs, Callable[[bytes], Any]]:
    """Also those of mixed precision, which `suggest` writes."""
    from int4_conformer.quant.spec.recipe import Recipe

    rules = [["encoder/.*", "w4c_a8d"], ["joint/.*", Recipe.preset("w8a8").config().to_config()]]
    seeds = [json.dumps({"name": "mine", "rules": [*rules, [".*", "float"]]}).encode()]
    seeds.append((MODEL.parent / "recipe.json").read_bytes().replace(b"\n", b""))
    path = folder / "recipe.json"

    def act(content: bytes) -> None:
        path.write_bytes(content)
        Recipe.load(path).to_config()

    return Mutator(seeds=seeds, is_json=True), act


def run_folder(folder: Path) -> tuple[Inputs, Callable[[bytes], Any]]:
    """A training folder, as `report` shows it."""
    from int4_conformer.training.run_report import write_report

    config = (MODEL.parent / "cascade" / "config.json").read_bytes()
    metrics = {"step": 10, "dev_wer": 0.5, "dev_wer_first_pass": 0.6, "seconds": 3.0}
    progress = {"step": 5, "loss": 3.2, "learning_rate": 1e-3, "grad_norm": 2.0, "seconds": 1.0}
    said = {"utterance": "a", "speaker": "x", "reference": "go on", "hypothesis": "go"}
    command = {"time": "2026-01-01T00:00:00+00:00", "step": 0, "argv": ["train"], "settings": {}}
    lines = [json.dumps(x) for x in (metrics, progress, {**progress, "step": 10}, said, command)]
    seed = json.dumps(json.loads(config)).encode() + b"\n" + "\n".join(lines).encode()
    names = ("metrics.jsonl", "progress.jsonl", "transcripts.jsonl", "commands.jsonl")

    def act(content: bytes) -> None:
        config, _, rest = content.partition(b"\n")
        (folder / "config.json").write_bytes(config)
        # Each file passes over the lines of the others.
        for name in names:
            (folder / name).write_bytes(rest)
        write_report(folder)

    return Mutator(seeds=[seed], is_json=True), act


def wordpieces(folder: Path) -> tuple[Inputs, Callable[[bytes], Any]]:
    from int4_conformer.text.wordpieces import Wordpieces

    texts = ["go on now", "stop it now", "turn it on", "turn it off now"] * 5
    path = folder / "a.model"

    def act(content: bytes) -> None:
        path.write_bytes(content)
        pieces = Wordpieces.load(path)
        ids = pieces.encode("turn it on")
        pieces.vocabulary.detokenize(ids)

    return Mutator(seeds=[Wordpieces.train(texts, 16).model]), act


def tokenizer(folder: Path) -> tuple[Inputs, Callable[[bytes], Any]]:
    """As a training folder's config has it."""
    from int4_conformer.training.run_folder import read_run_config

    seed = (MODEL.parent / "cascade" / "config.json").read_bytes()

    def act(content: bytes) -> None:
        (folder / "config.json").write_bytes(content)
        read_run_config(folder)

    return Mutator(seeds=[json.dumps(json.loads(seed)).encode()], is_json=True), act


def batch_inputs(folder: Path) -> tuple[Inputs, Callable[[bytes], Any]]:
    """Manifests as `transcribe_many` reads them."""
    from int4_conformer.batch.audio_inputs import read_inputs
    from int4_conformer.batch.file_access import LocalFiles
    from int4_conformer.data.corpus_report import CorpusReport

    (folder / "a.wav").write_bytes(_sound())
    path = folder / "m.jsonl"
    lines = [{"audio": "a.wav"}, {"audio_filepath": "a.wav", "offset": 0.1, "duration": 0.1}]

    def act(content: bytes) -> None:
        path.write_bytes(content)
        read_inputs([path], LocalFiles(), report=CorpusReport("skip"))

    return Mutator(seeds=["\n".join(map(json.dumps, lines)).encode()], is_json=True), act


def server(folder: Path) -> tuple[Inputs, Callable[[bytes], Any]]:
    """Requests and WebSockets of a server."""
    from fuzz_server import seeds, server_of

    return Mutator(seeds=seeds(_sound("FLAC")), is_json=True), server_of(MODEL)


def data_worker(folder: Path) -> tuple[Inputs, Callable[[bytes], Any]]:
    """Messages between a training and its data workers."""
    from int4_conformer.data.service import wire

    file = io.BytesIO()
    wire.send(file, {"kind": "batch", "n": 1}, {"a": np.zeros([2, 3], np.float32)})

    def act(content: bytes) -> None:
        try:
            wire.receive(io.BytesIO(content))
        except EOFError:
            """The other side has gone, which is an error of its own."""

    return Mutator(seeds=[file.getvalue()], words=(b"<f8", b"|O", b"<U9", b"-1", b"[]")), act


TARGETS: dict[str, Target] = {
    target.__name__: target
    for target in (
        *(manifest, lhotse, kaldi, tsv, csv, librispeech, plain_folder, prepared, shards),
        *(batch_inputs, grammar, arpa, audio, piped_audio, recipe, run_folder, wordpieces),
        *(tokenizer, metadata, flatbuffer, recognizer, server, data_worker),
    )
}
