"""The losses against numbers that other projects publish."""

import numpy as np
import pytest
import tensorflow as tf

from int4_conformer import losses
from tests.support.published import numbers

# warp-transducer (HawkAaron), tests/test_cpu.cpp `small_test`: two frames, the labels 1 and 2.
SMALL = numbers(
    """
    0.1 0.6 0.1 0.1 0.1   0.1 0.1 0.6 0.1 0.1   0.1 0.1 0.2 0.8 0.1
    0.1 0.6 0.1 0.1 0.1   0.1 0.1 0.2 0.1 0.1   0.7 0.1 0.2 0.1 0.1
    """,
    *(1, 2, 3, 5),
)
# The same, tensorflow_binding/tests/test_warprnnt_op.py `_test_multiple_batches`.
BATCH = numbers(
    """
    0.065357 0.787530 0.081592 0.529716 0.750675 0.754135 0.609764 0.868140 0.622532
    0.668522 0.858039 0.164539 0.989780 0.944298 0.603168 0.946783 0.666203 0.286882
    0.094184 0.366674 0.736168 0.166680 0.714154 0.399400 0.535982 0.291821 0.612642
    0.324241 0.800764 0.524106 0.779195 0.183314 0.113745 0.240222 0.339470 0.134160

    0.505562 0.051597 0.640290 0.430733 0.829473 0.177467 0.320700 0.042883 0.302803
    0.675178 0.569537 0.558474 0.083132 0.060165 0.107958 0.748615 0.943918 0.486356
    0.418199 0.652408 0.024243 0.134582 0.366342 0.295830 0.923670 0.689929 0.741898
    0.250005 0.603430 0.987289 0.592606 0.884672 0.543450 0.660770 0.377128 0.358021
    """,
    *(2, 4, 3, 3),
)


def loss_and_gradient(function, logits, labels, logit_lengths, label_lengths, **options):
    logits = tf.constant(logits, tf.float32)
    lengths = tf.constant(logit_lengths), tf.constant(label_lengths)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = function(logits, tf.constant(labels), *lengths, **options)
    return loss.numpy(), tape.gradient(loss, logits).numpy()


def transducer(logits, labels, **options):
    """Value and gradient for utterances that fill the lattice."""
    batch, time, prefixes, _ = logits.shape
    lengths = [time] * batch, [prefixes - 1] * batch
    return loss_and_gradient(losses.rnnt_loss, logits, labels, *lengths, **options)


def test_two_frames_of_warp_transducer():
    """Its pytorch_binding/test/test.py `small_test`; NeMo's `test_case_small` has the same."""
    loss, gradient = transducer(SMALL, [[1, 2]])
    np.testing.assert_allclose(loss, [4.495666], rtol=1e-6)
    expected = """
        -0.13116688 -0.3999269 0.17703125 0.17703125 0.17703125
        -0.18572757 0.12247056 -0.18168412 0.12247056 0.12247056
        -0.32091254 0.06269141 0.06928472 0.12624499 0.06269141

        0.05456069 -0.21824276 0.05456069 0.05456069 0.05456069
        0.12073959 0.12073959 -0.48295835 0.12073959 0.12073959
        -0.6925882 0.16871116 0.18645467 0.16871116 0.16871116
    """
    np.testing.assert_allclose(gradient, numbers(expected, *SMALL.shape), atol=1e-6)


def test_two_frames_of_torchaudio_with_the_blank_last():
    """pytorch/audio, test/torchaudio_unittest/rnnt/utils.py `get_B1_T2_U3_D5_data`."""
    loss, gradient = transducer(SMALL, [[1, 2]], blank_id=4)
    np.testing.assert_allclose(loss, [5.09566688538], rtol=1e-6)
    expected = """
        0.17703132 -0.39992708 0.17703132 0.17703132 -0.13116692
        0.12247062 0.12247062 -0.181684 0.12247062 -0.1857276
        0.06269141 0.06269141 0.06928471 0.12624498 -0.32091248

        0.05456069 -0.2182428 0.05456069 0.05456069 0.05456069
        0.12073967 0.12073967 -0.48295838 0.12073967 0.12073967
        0.30741188 0.16871123 0.18645471 0.16871123 -0.83128875
    """
    np.testing.assert_allclose(gradient, numbers(expected, *SMALL.shape), atol=1e-6)


def test_a_batch_of_warp_transducer():
    """Costs of its tests/test_cpu.cpp `options_test`, gradient of its `_test_multiple_batches`.

    NeMo's `test_case_big_tensor` and torchaudio's `get_B2_T4_U3_D3_data` have the same.
    """
    loss, gradient = transducer(BATCH, [[1, 2], [1, 1]])
    np.testing.assert_allclose(loss, [4.2806528590890736, 3.9384369822503591], rtol=1e-6)
    expected = """
        -0.186844 -0.062555 0.249399 -0.203377 0.202399 0.000977 -0.141016 0.079123 0.061893
        -0.011552 -0.081280 0.092832 -0.154257 0.229433 -0.075176 -0.246593 0.146405 0.100188
        -0.012918 -0.061593 0.074512 -0.055986 0.219831 -0.163845 -0.497627 0.209240 0.288387
        0.013605 -0.030220 0.016615 0.113925 0.062781 -0.176706 -0.667078 0.367659 0.299419

        -0.356344 -0.055347 0.411691 -0.096922 0.029459 0.067463 -0.063518 0.027654 0.035863
        -0.154499 -0.073942 0.228441 -0.166790 -0.000088 0.166878 -0.172370 0.105565 0.066804
        0.023875 -0.118256 0.094381 -0.104707 -0.108934 0.213642 -0.369844 0.180118 0.189726
        0.025714 -0.079462 0.053748 0.122328 -0.238789 0.116460 -0.598687 0.302203 0.296484
    """
    np.testing.assert_allclose(gradient, numbers(expected, *BATCH.shape), atol=1e-6)


def test_random_lattices_of_nemo():
    """NVIDIA/NeMo, tests/collections/asr/numba/rnnt_loss.

    test_rnnt_pytorch.py `test_case_small_random` and `test_case_large_random`, and
    utils/test_gpu_rnnt_kernel.py `test_compute_grads_kernel`: NumPy's legacy generator with seed 0.
    The tests compare implementations; the numbers are what their reference, `rnnt_numpy.py`, gives.
    """
    loss, _ = transducer(random_lattice(1, 4, 3, 3), [[1, 2]])
    np.testing.assert_allclose(loss, [6.0918527], rtol=1e-6)
    loss, gradient = transducer(random_lattice(1, 5, 11, 3), [[1, 1, 1, 2, 2, 2, 1, 2, 2, 1]])
    np.testing.assert_allclose(loss, [10.236773], rtol=1e-6)
    np.testing.assert_allclose(np.abs(gradient).sum(), 13.427162, rtol=1e-5)
    labels = [
        [1, 2, 4, 3, 2, 2, 1, 1, 1, 1],
        [3, 2, 2, 3, 4, 1, 1, 1, 1, 1],
        [4, 4, 1, 2, 1, 3, 4, 3, 1, 2],
        [1, 1, 2, 1, 2, 3, 3, 1, 1, 1],
    ]
    loss, gradient = transducer(random_lattice(4, 8, 11, 5), labels)
    np.testing.assert_allclose(loss, [22.13812, 21.128435, 21.297297, 18.157875], rtol=1e-6)
    sizes = np.abs(gradient).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(sizes, [22.972026, 22.261413, 21.955143, 20.845908], rtol=1e-5)


def test_fast_emit_of_nemo():
    """NVIDIA/NeMo, test_rnnt_pytorch.py `test_case_small_random_fastemit_reg`, with lambda 1.

    The numbers are those of their `rnnt_numpy.py`, which reports 1 + lambda times the loss; here
    the loss without FastEmit is reported. Their `test_case_small_fastemit_clamp` expects that same
    factor of 4.495666.
    """
    loss, gradient = transducer(random_lattice(1, 4, 3, 3), [[1, 2]], fast_emit=1.0)
    np.testing.assert_allclose(2 * loss, [12.183705], rtol=1e-6)
    expected = """
        0.112585604 -0.46782815 0.35524237 -0.1223512 0.1374261 -0.015074912
        -0.004672785 0.002280168 0.002392616

        -0.08113462 -0.55301356 0.6341481 0.098635495 0.23768161 -0.33631724
        -0.2717228 0.22972399 0.041998807

        0.13401672 -0.15187415 0.01785747 0.12829298 0.38344836 -0.5117413
        -0.07455397 0.013599184 0.060954887

        0.030391399 -0.18967763 0.15928617 0.27815986 0.3477247 -0.6258846
        -0.9314779 0.3507385 0.5807394
    """
    np.testing.assert_allclose(gradient, numbers(expected, 1, 4, 3, 3), atol=1e-6)


def random_lattice(*shape):
    return np.random.RandomState(0).randn(*shape)


@pytest.mark.parametrize("loss", ["rnnt_loss", "joint_rnnt_loss"])
def test_an_adding_joint_of_fast_rnnt(loss):
    """k2-fsa/fast_rnnt, fast_rnnt/python/tests/rnnt_loss_test.py `test_rnnt_loss_basic`.

    The test prints no number and compares implementations; this one is NeMo's `rnnt_numpy.py`'s.
    """
    predicted = np.float32([[[0, 0, 1], [0, 1, 1], [1, 0, 1], [2, 2, 0]]])
    frames = np.float32([[[0, 1, 2], [0, 0, 0], [0, 2, 4], [0, 3, 3]]])
    rest = tf.constant([[0, 1, 0]]), tf.constant([4]), tf.constant([3])
    if loss == "rnnt_loss":
        found = losses.rnnt_loss(frames[:, :, None] + predicted[:, None], *rest, blank_id=2)
    else:
        inputs = tf.constant(frames), tf.constant(predicted), []
        found = losses.joint_rnnt_loss(tf.add, *inputs, *rest, blank_id=2, vocab_size=3)
    np.testing.assert_allclose(found, [7.504013], rtol=1e-6)


def test_graves_ctc_of_tensorflow():
    """tensorflow/tensorflow, tensorflow/python/kernel_tests/nn_ops/ctc_loss_op_test.py `testBasic`.

    By its comments from Alex Graves' implementation; warp-ctc's `options_test` has the same. The
    blank is the last symbol. Its two frames of padding are NaN, which `ctc_loss` does not take in a
    logit; here they are 9.
    """
    probabilities = numbers(
        """
        0.633766 0.221185 0.0917319 0.0129757 0.0142857 0.0260553
        0.111121 0.588392 0.278779 0.0055756 0.00569609 0.010436
        0.0357786 0.633813 0.321418 0.00249248 0.00272882 0.0037688
        0.0663296 0.643849 0.280111 0.00283995 0.0035545 0.00331533
        0.458235 0.396634 0.123377 0.00648837 0.00903441 0.00623107

        0.30176 0.28562 0.0831517 0.0862751 0.0816851 0.161508
        0.24082 0.397533 0.0557226 0.0546814 0.0557528 0.19549
        0.230246 0.450868 0.0389607 0.038309 0.0391602 0.202456
        0.280884 0.429522 0.0326593 0.0339046 0.0326856 0.190345
        0.423286 0.315517 0.0338439 0.0393744 0.0339315 0.154046
        """,
        *(2, 5, 6),
    )
    expected = numbers(
        """
        -0.366234 0.221185 0.0917319 0.0129757 0.0142857 0.0260553
        0.111121 -0.411608 0.278779 0.0055756 0.00569609 0.010436
        0.0357786 0.633813 -0.678582 0.00249248 0.00272882 0.0037688
        0.0663296 -0.356151 0.280111 0.00283995 0.0035545 0.00331533
        -0.541765 0.396634 0.123377 0.00648837 0.00903441 0.00623107

        -0.69824 0.28562 0.0831517 0.0862751 0.0816851 0.161508
        0.24082 -0.602467 0.0557226 0.0546814 0.0557528 0.19549
        0.230246 0.450868 0.0389607 0.038309 0.0391602 -0.797544
        0.280884 -0.570478 0.0326593 0.0339046 0.0326856 0.190345
        -0.576714 0.315517 0.0338439 0.0393744 0.0339315 0.154046
        """,
        *(2, 5, 6),
    )
    padding = [[0, 0], [0, 2], [0, 0]]
    logits = np.pad(np.log(probabilities), padding, constant_values=9)
    labels = [[0, 1, 2, 1, 0], [0, 1, 1, 0, 0]]
    loss, gradient = loss_and_gradient(losses.ctc_loss, logits, labels, [5, 5], [5, 4], blank_id=5)
    np.testing.assert_allclose(loss, [3.34211, 5.42262], rtol=1e-6)
    np.testing.assert_allclose(gradient, np.pad(expected, padding), atol=2e-6)


def test_ctc_of_the_tutorial_of_warp_ctc():
    """baidu-research/warp-ctc, torch_binding/TUTORIAL.md; k2's ctc_loss_test.py has the same."""
    rising, falling = np.arange(1, 16).reshape(3, 5), np.arange(-15, 0).reshape(3, 5)[::-1]
    logits = np.stack([np.zeros([3, 5]), rising, falling])
    labels = [[1, 0], [3, 3], [2, 3]]
    loss, _ = loss_and_gradient(losses.ctc_loss, logits, labels, [1, 3, 3], [1, 2, 2])
    np.testing.assert_allclose(loss, [1.6094379425049, 7.355742931366, 4.938850402832], rtol=1e-6)


def test_ctc_of_keras():
    """keras-team/keras, keras/src/ops/nn_test.py `test_ctc_loss`."""
    logits = [
        [[0.4, 0.8, 0.4], [0.2, 0.8, 0.3], [0.9, 0.4, 0.5]],
        [[0.4, 0.8, 0.4], [0.2, 0.3, 0.3], [0.4, 0.3, 0.2]],
    ]
    labels = [[1, 2, 1], [1, 2, 2]]
    loss, _ = loss_and_gradient(losses.ctc_loss, logits, labels, [3, 2], [3, 2])
    np.testing.assert_allclose(loss, [3.4411672, 1.91680186], rtol=1e-6)


@pytest.mark.parametrize(
    ("labels", "alignment"),
    [
        ([1, 2, 2, 3], [1, 2, 0, 2, 3]),
        ([2, 3, 4, 4], [2, 3, 4, 0, 4]),
        ([1, 1, 1, 1], [1, 0, 1, 0, 1, 0, 1]),
        ([1, 1, 2, 3], [1, 0, 1, 2, 3]),
        ([1, 1, 1, 2], [1, 0, 1, 0, 1, 2]),
    ],
)
def test_the_only_alignments_of_optax(labels, alignment):
    """google-deepmind/optax, optax/losses/_classification_test.py.

    Its `test_repeat_with_one_to_one_alignment`: just enough frames for the labels leave one
    alignment, whose cost the loss is.
    """
    time = len(alignment)
    logits = np.random.default_rng(1234).standard_normal([1, time, 5]).astype(np.float32)
    loss, gradient = loss_and_gradient(losses.ctc_loss, logits, [labels], [time], [4])
    log_probs = tf.nn.log_softmax(logits[0]).numpy()
    np.testing.assert_allclose(loss, [-log_probs[range(time), alignment].sum()], rtol=1e-6)
    expected = tf.nn.softmax(logits[0]) - tf.one_hot(alignment, 5)
    np.testing.assert_allclose(gradient[0], expected, atol=1e-6)
