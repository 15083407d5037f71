"""Keras layers whose matmuls run in integers; `quant` says how (`int4_conformer.quant`)."""

from int4_conformer.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "ConvolutionModule": "convolution",
        "Dropout": "dropout",
        "FeedForward": "feed_forward",
        "Frames": "frames",
        "ProjectedLSTM": "projected_lstm",
        "QuantConv1D": "conv",
        "QuantConv2D": "conv",
        "QuantDense": "dense",
        "QuantDepthwiseConv1D": "conv",
        "QuantEinsumDense": "einsum_dense",
        "QuantEmbedding": "embedding",
        "QuantLSTM": "lstm",
        "QuantLSTMCell": "lstm",
        "QuantMultiHeadAttention": "multi_head_attention",
        "RelativeAttention": "attention",
        "Span": "frames",
    },
)
