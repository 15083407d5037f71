"""What an exported recogniser takes and gives: names shared by those who write it and who run it.

`serving_default` recognises a whole utterance:

    in   pcm        float32 [samples]          in [-1, 1], at the rate and padded with silence to
                                               whole blocks, as the metadata says
    out  tokens     int32 [capacity]           ids of the vocabulary, 0 past the last
         count      int32 []                   how many there are
         frames     int32 [capacity]           encoder frame that emitted each, from the first one
         log_probs  float32 [capacity]         logarithm of each one's probability

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
         the state
"""

# Signatures.
SERVING_DEFAULT = "serving_default"
FIRST_PASS = "first_pass"
SECOND_PASS = "second_pass"

# Inputs and outputs.
PCM = "pcm"
LENGTH = "length"
ENCODED = "encoded"
TOKENS = "tokens"
COUNT = "count"
FRAMES = "frames"
LOG_PROBS = "log_probs"
