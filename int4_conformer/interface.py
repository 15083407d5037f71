"""What an exported recogniser takes and gives: names shared by those who write it and who run it.

`serving_default` recognises a whole utterance:

    in   pcm        float32 [samples]          in [-1, 1], at the rate and padded with silence to
                                               whole blocks, as the metadata says
    out  tokens     int32 [capacity]           ids of the vocabulary, 0 past the last
         count      int32 []                   how many there are
         frames     int32 [capacity]           encoder frame that emitted each, from the first one
         log_probs  float32 [capacity]         logarithm of each one's probability
         encoded    float32 [time, dim]        what the last encoder makes of it

A file of a fixed length, for runtimes that cannot size an input, has here and in `encode`

    in   pcm        float32 [samples]          the utterance, padded with anything
         length     int32 [1]                  real samples in it
    out  length     int32 [1]                  real frames, beside what is above

Other searches than the greedy one ask the parts of the model. `encode` is `serving_default` by a
second name, for its `encoded`; older files have it apart.

`predict` feeds the prediction network of the last pass a label more; it takes several hypotheses at
once, as many as the shapes say:

    in   label      int32 [rows]               the last label, 0 at the start
         its state before that label, zeros at the start
    out  predicted  float32 [rows, joint dim]
         the state, under the names that it has as an input

`join` says what may follow:

    in   encoded    float32 [rows, dim]        a frame of the last pass
         predicted  float32 [rows, joint dim]
    out  logits     float32 [rows, vocab]      of all symbols, the blank, 0, among them

`first_pass` hears a segment of a stream; recognisers whose encoders see no further than a chunk
have it:

    in   pcm        float32 [1, samples]       the segment, padded if it is the last
         length     int32 [1]                  real samples in it
         the state after the segment before, zeros before the first
    out  tokens, count, frames, log_probs      as above with a dimension [1] before; frames are
                                               counted from the utterance's first
         encoded    float32 [1, time, dim]     frames for the second pass
         length     int32 [1]                  real frames in it
         the state, under the names that it has as an input

`second_pass`, of recognisers with two, hears frames of the first:

    in   encoded    float32 [1, time, dim]     a segment of its own, padded if it is the last
         length     int32 [1]                  real frames in it
         its state, as that of the first pass
    out  tokens, count, frames, log_probs      as those of the first pass
         encoded    float32 [1, time, dim]     its own frames, for `join`; as many as went in
         the state

States are float32 and int32, of one shape throughout, and named alike as input and output: whoever
runs a stream hands on what came out. They begin as zeros.

A SavedModel hears batches, and all that it takes and gives has the batch for its first axis:

`serving_default` recognises whole utterances:

    in   pcm         float32 [batch, samples]  in [-1, 1] at 16 kHz, padded with anything
         length      int32 [batch] or [1]      real samples; -1, which TF Serving puts where a
                                               request has none, for the whole row
    out  text        string [batch]
         words       string [batch, words]     "" past the last
         word_count  int32 [batch]
         starts      float32 [batch, words]    seconds from the start of the utterance
         ends        float32 [batch, words]
         confidences float32 [batch, words]    in [0, 1]
         tokens, count, frames, log_probs      as above with a dimension [batch] before
         score       float32 [batch]           logarithm of the probability of all tokens
         error       string [batch]            what is wrong with a row, which has no words then

`transcribe_pcm16` takes `pcm` as int16, and `transcribe_bytes` instead of `pcm` and `length`

    in   audio_bytes string [batch]            WAV files; any rate, 1 to 8 channels

`beam` searches for several texts, and prefers phrases:

    in   pcm, length                           as above
         phrases     string [batch, phrases]   "" for none
         bonus       float32 [batch] or [1]    for each token of a phrase, in nats
    out  texts       string [batch, n_best]    the best first
         scores      float32 [batch, n_best]   by which they are ranked; -inf where there is none
         tokens, count, frames, log_probs      with a dimension [batch, n_best] before
         error       string [batch]

`encode` gives what the last encoder makes of the audio:

    in   pcm, length                           as above
    out  encoded     float32 [batch, time, dim]
         length      int32 [batch]             real frames
         error       string [batch]

`first_pass` and `second_pass` are those above for a batch of streams, and give beside it

    out  text        string [batch]            what the tokens add to the text, spaces included

A stream that shall say what the whole utterance does is padded with silence to whole blocks, and
ends with a segment that is not full, if one of `length` 0.
"""

# Signatures.
SERVING_DEFAULT = "serving_default"
FIRST_PASS = "first_pass"
SECOND_PASS = "second_pass"
TRANSCRIBE_PCM16 = "transcribe_pcm16"
TRANSCRIBE_BYTES = "transcribe_bytes"
BEAM = "beam"
ENCODE = "encode"
PREDICT = "predict"
JOIN = "join"

# Inputs and outputs.
PCM = "pcm"
LENGTH = "length"
ENCODED = "encoded"
LABEL = "label"
PREDICTED = "predicted"
LOGITS = "logits"
TOKENS = "tokens"
COUNT = "count"
FRAMES = "frames"
LOG_PROBS = "log_probs"
TEXT = "text"
WORDS = "words"
WORD_COUNT = "word_count"
STARTS = "starts"
ENDS = "ends"
CONFIDENCES = "confidences"
SCORE = "score"
ERROR = "error"
AUDIO_BYTES = "audio_bytes"
PHRASES = "phrases"
BONUS = "bonus"
TEXTS = "texts"
SCORES = "scores"
