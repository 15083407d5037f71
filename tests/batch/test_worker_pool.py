import pytest

from int4_conformer.batch import worker_pool
from int4_conformer.batch.audio_inputs import Recording
from int4_conformer.batch.transcriber import TranscriberConfig
from int4_conformer.batch.worker_pool import WorkerPool
from int4_conformer.cores import available_cores
from int4_conformer.errors import UserError
from tests.batch import dying_worker, kit


def tasks(*names):
    return [(Recording(audio=name),) for name in names]


def test_all_tasks_come_back(tmp_path):
    given = tasks(*map(str, kit.CLIPS), str(tmp_path / "absent.wav"))
    with WorkerPool(2, str(kit.MODEL), TranscriberConfig()) as pool:
        found = dict(pool.results(given))
    assert found.keys() == set(given)
    assert [found[task][0].get("text") for task in given] == [*kit.TEXTS, None]


@pytest.mark.parametrize("count", [1, 2])
def test_a_worker_that_dies_costs_what_it_was_at(monkeypatch, count):
    monkeypatch.setattr(worker_pool, "_work", dying_worker.work)
    names = ["a", "deadly 1", "b", "deadly 2", "c", "d"]
    with WorkerPool(count, "model", TranscriberConfig()) as pool:
        found = [row for _, rows in pool.results(tasks(*names)) for row in rows]
    assert sorted(row["audio"] for row in found) == sorted(names)
    errors = {row["audio"]: row["error"] for row in found if "error" in row}
    assert errors.keys() == {"deadly 1", "deadly 2"}
    assert (
        "could not be recognised: the process that heard it ended (SIGKILL)" in errors["deadly 1"]
    )


def test_a_worker_that_cannot_start(monkeypatch):
    with (
        WorkerPool(1, str(kit.CLIPS[0]), TranscriberConfig()) as pool,
        pytest.raises(UserError, match=r"0.flac is not a TFLite model"),
    ):
        list(pool.results(tasks("a")))
    monkeypatch.setattr(worker_pool, "_work", dying_worker.never_ready)
    with (
        WorkerPool(1, "model", TranscriberConfig()) as pool,
        pytest.raises(UserError, match=r"exit status 3.*__main__"),
    ):
        list(pool.results(tasks("a")))


def test_no_tasks():
    with WorkerPool(1, str(kit.MODEL), TranscriberConfig()) as pool:
        assert not list(pool.results([]))


def test_there_is_a_core():
    assert available_cores() >= 1
