"""What the frames of a recogniser see of the audio, and for how long they have to wait for it.

Everything follows from the configuration, without a model. A frame that leaves a pass depends on
the audio between two samples; down the stack, from its blocks to the window of the front end, each
part moves the one back and the other on:

    convolution     by the frames under its kernel, not beyond the end of the chunk
    attention       to `left_context` frames before the chunk, and to the chunk's end
    LSTM            to the start
    halved frames   a frame is two of those below
    subsampling     `stack` frames, and with convolutions one or more before them
    front end       the window, which reaches back beyond the hop

The latency is that of the algorithm, computing aside: how much later than a sample the last sample
comes that its frame waits for. It is longest for the first sample of a chunk.
"""

import dataclasses
import math

from int4_conformer.models.model_config import EncoderConfig, TransducerConfig

# First and last of the frames or samples that are seen; infinite without an end.
Seen = tuple[float, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Latency:
    """What the frames that leave a pass see, in milliseconds; infinite: all there is."""

    # Audio that a frame stands for.
    frame: float
    # Audio before the frame that it depends on: the least and the most, by its place in the chunk.
    past: tuple[float, float]
    # Audio after the frame, likewise.
    future: tuple[float, float]
    # From a sample to the last one that its frame waits for, over all samples.
    mean: float
    # The same for the sample that waits longest.
    longest: float


def latencies(config: TransducerConfig) -> list[Latency]:
    """Of each pass."""
    return [_latency(config, passes) for passes in range(1, len(config.encoders) + 1)]


def seen_samples(config: TransducerConfig, frame: int, passes: int = 1) -> Seen:
    """First and last sample on which a frame depends; samples before the start are negative.

    Args:
        config: of the recogniser.
        frame: its number, from 0, among those that leave the last of the passes.
        passes: how many passes the audio goes through.
    """
    seen: Seen = (frame, frame)
    for encoder in reversed(config.encoders[:passes]):
        seen = _through_blocks(encoder, seen)
    front_end = config.front_end
    first, last = _through_subsampling(config.encoder, front_end.stack, seen)
    return (first + 1) * front_end.hop - front_end.window, (last + 1) * front_end.hop - 1


def _latency(config: TransducerConfig, passes: int) -> Latency:
    samples = config.frame_samples
    milliseconds = 1000 / config.front_end.sample_rate
    chunks = [encoder.chunk or 1 for encoder in config.encoders[:passes]]
    # Far from the start, where no chunk is cut short, all places in the chunks of all passes.
    period = math.lcm(*chunks)
    seen = [(i, seen_samples(config, i, passes)) for i in range(period)]
    past = [milliseconds * (i * samples - first) for i, (first, _) in seen]
    future = [milliseconds * (last + 1 - (i + 1) * samples) for i, (_, last) in seen]
    frame = milliseconds * samples
    return Latency(
        frame=frame,
        past=(min(past), max(past)),
        future=(min(future), max(future)),
        mean=sum(future) / period + frame / 2,
        longest=max(future) + frame,
    )


def _through_blocks(config: EncoderConfig, seen: Seen) -> Seen:
    """From frames that leave an encoder to those that enter its first block."""
    for i in reversed(range(config.blocks)):
        rate = config.reduction if config.reduce_after and i >= config.reduce_after else 1
        chunk = config.chunk and max(1, config.chunk // rate)
        if config.kind == "conformer":
            seen = _through_convolution(config.kernel_size, chunk, seen)
        if config.kind == "lstm":
            seen = -math.inf, seen[1]
        elif i >= config.convolution_blocks:
            left = math.inf if config.left_context is None else config.left_context // rate
            seen = _chunk_start(seen[0], chunk) - left, _chunk_end(seen[1], chunk)
        if i == config.reduce_after:
            seen = 2 * seen[0], 2 * seen[1] + 1
    return seen


def _through_convolution(kernel_size: int, chunk: int | None, seen: Seen) -> Seen:
    before = kernel_size - 1 if chunk == 1 else (kernel_size - 1) // 2
    ahead = kernel_size - 1 - before
    end = math.inf if chunk is None else _chunk_end(seen[1], chunk)
    return seen[0] - before, min(seen[1] + ahead, end)


def _through_subsampling(config: EncoderConfig, stack: int, seen: Seen) -> Seen:
    """From encoder frames to feature frames."""
    first, last = seen[0] * stack, (seen[1] + 1) * stack - 1
    if config.subsampling == "convolution":
        # Every halving looks one frame back, and those add up: 1 + 2 + 4 ..
        first -= stack - 1
    return first, last


def _chunk_start(frame: float, chunk: int | None) -> float:
    if chunk is None:
        return -math.inf
    return frame if math.isinf(frame) else frame // chunk * chunk


def _chunk_end(frame: float, chunk: int | None) -> float:
    if chunk is None:
        return math.inf
    return frame if math.isinf(frame) else _chunk_start(frame, chunk) + chunk - 1
