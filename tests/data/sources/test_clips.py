import json

import numpy as np

from int4_conformer.data.sources.clips import FOLDER, clips


def test_they_are_whole_and_have_a_notice():
    heard = clips("commands")
    assert len(heard) == 12
    for clip in heard:
        samples = clip.samples()
        assert abs(samples.size / 16000 - clip.duration) < 0.05
        assert np.abs(samples).max() > 0.01
        assert clip.text
    lines = map(json.loads, (FOLDER / "manifest.jsonl").read_text().splitlines())
    named = {line["audio"]: line["corpus"] for line in lines}
    # Nothing lies there that the manifest does not name.
    assert {path.name for path in FOLDER.glob("*.opus")} == set(named)
    notice = (FOLDER / "NOTICE.md").read_text()
    for file, corpus in named.items():
        assert file.startswith(f"{corpus}_")
        assert f"`{corpus}_*`" in notice


def test_a_model_that_they_are_not_for():
    assert clips("other") == []
