import numpy as np
import pytest

from int4_conformer.training.report_curves import Curve, chart, thinned


def curve(values, name=""):
    values = np.asarray(values, float)
    return Curve(name=name, steps=1.0 + np.arange(len(values)), values=values)


@pytest.mark.parametrize("count", [1, 2, 9, 10, 11, 1003])
def test_a_thinned_curve_keeps_mean_and_range(count):
    values = np.random.default_rng(0).normal(size=count)
    steps, (low, mean, high) = thinned(curve(values), points=10)
    assert len(steps) == min(count, 10)
    # One point that stands out among a thousand is still seen.
    assert low.min() == values.min()
    assert high.max() == values.max()
    assert (low <= mean).all()
    assert (mean <= high).all()
    if count <= 10:
        np.testing.assert_array_equal(mean, values)
        np.testing.assert_array_equal(steps, 1 + np.arange(count))


def test_nothing_to_draw_is_nothing():
    assert chart("Loss", [curve([]), curve([np.nan, np.inf])], unit="nats") == ""


def test_a_chart_says_in_words_what_it_shows():
    html = chart(
        "Word errors",
        [curve([50, 20, 30], name="dev"), curve([60, np.nan, 40], name="first <pass>")],
        unit="%",
        marked=True,
    )
    words = "dev: from 50 to 30 %, lowest 20 at step 2; first &lt;pass&gt;: from 60 to 40 %"
    assert f"<figcaption>{words}" in html
    assert f'aria-label="Word errors: {words}' in html
    assert "first <pass>" not in html
    assert "var(--series-1)" in html
    assert "var(--series-2)" in html
    # The page's own colours alone.
    assert "#0" not in html


def test_charts_of_a_page_share_no_ids_and_change_nothing_of_matplotlib():
    import matplotlib

    before = dict(matplotlib.rcParams)
    charts = [chart(title, [curve([1, 2, 3])], unit="") for title in ("Loss", "Memory")]
    ids = [{part.split('"')[0] for part in html.split(' id="')[1:]} for html in charts]
    assert ids[0]
    assert ids[1]
    assert not ids[0] & ids[1]
    assert dict(matplotlib.rcParams) == before
    assert charts[0] == chart("Loss", [curve([1, 2, 3])], unit="")
