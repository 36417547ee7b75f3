"""Workers that are killed, that crash, and that cannot start: real signals to real processes."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from earwitness.errors import ModelError, ParameterError
from earwitness.jobs.pool import ModelName, Pool, WorkerError, run
from earwitness.models.model import Model
from tests.toys import spectral

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
MODEL = """
import os
from pathlib import Path
from tests.toys import spectral

def make():
    with open(Path(__file__).with_name("loaded"), "a") as file:
        file.write("x")
    return spectral()

def dies():
    os.kill(os.getpid(), 9)

def dies_once():
    try:
        Path(__file__).with_name("died").touch(exist_ok=False)
    except FileExistsError:
        return spectral()
    os.kill(os.getpid(), 9)

def exits():
    os._exit(3)
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "model.py").write_text(MODEL)
    return tmp_path


def named(place: Path, function: str = "make") -> ModelName:
    return ModelName(f"python:{place / 'model.py'}:{function}")


def signals(
    _model: Model, item: tuple[int, int, str], _tick: Callable[[int], None]
) -> Iterator[int]:
    """Note the item, yield it, then end this process by a signal while the count lasts."""
    number, times, folder = item
    yield number
    with Path(folder, "worked").open("a") as file:
        file.write(f"{number}\n")
    if Path(folder, "worked").read_text().split().count(str(number)) <= times:
        os.kill(os.getpid(), signal.SIGSEGV if number % 2 else signal.SIGKILL)


def worked(place: Path) -> list[int]:
    return sorted(map(int, (place / "worked").read_text().split()))


def test_an_item_whose_worker_is_killed_once_is_done_once_more(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    items = [(number, int(number == 2), str(place)) for number in range(6)]
    assert sorted(run(signals, items, named(place), workers=2)) == [0, 1, 2, 3, 4, 5]
    assert worked(place) == [0, 1, 2, 2, 3, 4, 5]
    assert [record.message for record in caplog.records] == [
        f"{items[2]}: its process ended (SIGKILL, perhaps for want of memory); it is tried once "
        "more, alone"
    ]


def test_an_item_that_kills_its_worker_twice_is_left_out_and_the_others_are_done(
    place: Path,
) -> None:
    items = [(number, 9 * (number in (1, 4)), str(place)) for number in range(6)]
    found: list[object] = []
    reasons = {}

    def lost(item: tuple[int, int, str], reason: str) -> list[int]:
        reasons[item[0]] = reason
        return [-item[0]]

    found = list(run(signals, items, named(place), workers=2, lost=lost))
    assert sorted(map(int, map(str, found))) == [-4, -1, 0, 2, 3, 5]
    assert worked(place) == [0, 1, 1, 2, 3, 4, 4, 5]
    assert reasons == {
        1: "its process ended twice (SIGSEGV, a crash in compiled code); left out",
        4: "its process ended twice (SIGKILL, perhaps for want of memory); left out",
    }


def test_without_a_place_for_it_a_lost_item_is_an_error_after_the_others(place: Path) -> None:
    items = [(number, 9 * (number == 0), str(place)) for number in range(3)]
    found = run(signals, items, named(place), workers=2)
    assert sorted([next(found), next(found)]) == [1, 2]
    with pytest.raises(WorkerError, match=r"^\(0, 9, .*ended twice \(SIGKILL"):
        next(found)


def last(_model: Model, item: tuple[int, str], _tick: Callable[[int], None]) -> Iterator[int]:
    """Wait for the other item, and be killed soon after the result is sent."""
    number, folder = item
    with Path(folder, "worked").open("a") as file:
        file.write(f"{number}\n")
    wait_until(lambda: len(Path(folder, "worked").read_text().split()) >= 2, 60.0)
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGKILL)).start()
    yield number


def test_results_of_a_worker_that_ended_after_sending_them_count(place: Path) -> None:
    found = run(last, [(0, str(place)), (1, str(place))], named(place), workers=2)
    first = next(found)
    time.sleep(2.0)
    assert sorted([first, *found]) == [0, 1]
    assert worked(place) == [0, 1]


def crowd(_model: Model, item: tuple[int, str], _tick: Callable[[int], None]) -> Iterator[int]:
    """Be killed unless no other item is worked on and no other worker is there."""
    number, folder = item
    own = Path(folder, f"busy-{number}")
    own.touch()
    if number == 0:
        time.sleep(0.5)
        others = len(list(Path(folder).glob("busy-*"))) - 1
        siblings = Path(f"/proc/{os.getppid()}/task/{os.getppid()}/children").read_text().split()
        names = [Path("/proc", pid, "cmdline").read_text() for pid in siblings]
        if others or sum("spawn_main" in name for name in names) > 1:
            os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(1.0)
    own.unlink()
    yield number


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are looked up under /proc")
def test_the_second_time_it_has_the_machine_to_itself(place: Path) -> None:
    def lost(item: tuple[int, str], _reason: str) -> list[int]:
        return [-1]

    items = [(number, str(place)) for number in range(3)]
    (place / "busy-9").touch()  # so that the first item dies at first in any case
    found = run(crowd, items, named(place), workers=2, lost=lost)
    first = next(found)
    (place / "busy-9").unlink()
    (place / "busy-0").unlink()
    assert first != 0
    assert sorted([first, *found]) == [0, 1, 2]


def identity(_model: Model, item: int, _tick: Callable[[int], None]) -> Iterator[tuple[int, int]]:
    yield item, os.getpid()


def test_a_model_is_loaded_once_by_each_worker_for_several_runs(place: Path) -> None:
    with Pool(named(place), 2) as pool:
        first = list(pool.run(identity, list(range(8))))
        second = list(pool.run(identity, list(range(8, 16))))
    assert sorted(item for item, _ in first + second) == list(range(16))
    processes = {pid for _, pid in first + second}
    assert len(processes) <= len((place / "loaded").read_text()) <= 2
    assert os.getpid() not in processes


def test_no_more_workers_are_started_than_there_are_items_or_cores_twice(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len({pid for _, pid in run(identity, [1], named(place), workers=1000)}) == 1
    assert (place / "loaded").read_text() == "x"
    monkeypatch.setattr("earwitness.jobs.pool._cores", lambda: 1)
    list(run(identity, list(range(20)), named(place), workers=1000))
    assert (place / "loaded").read_text() in ("xx", "xxx")  # one may be done with all of them


def test_workers_that_cannot_start(place: Path) -> None:
    with pytest.raises(WorkerError, match=r"before it had loaded the model \(SIGKILL.*__main__"):
        list(run(identity, [1, 2], named(place, "dies"), workers=2))
    with pytest.raises(WorkerError, match=r"before it had loaded the model \(exit code 3\)"):
        list(run(identity, [1, 2], named(place, "exits"), workers=2))
    with pytest.raises(ModelError, match=r"no function nothing|nothing"):
        list(run(identity, [1, 2], named(place, "nothing"), workers=2))
    found = run(identity, [1], named(place, "dies_once"), workers=2)
    assert [item for item, _ in found] == [1]


def test_numbers_of_workers_and_models_that_make_no_sense() -> None:
    for workers in (0, -1):
        with pytest.raises(ParameterError, match=f"from 1 on, got {workers}"):
            Pool(spectral(), workers)
    with pytest.raises(TypeError, match="by its name"):
        Pool(spectral(), 2)


def fails(_model: Model, item: int, _tick: Callable[[int], None]) -> Iterator[int]:
    if item == 3:
        raise OSError(28, "No space left on device")
    if item == 4:
        raise OddError("a", "b")
    yield item


class OddError(Exception):
    """An exception that cannot be unpickled."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first + second)


def test_an_error_that_the_work_does_not_handle_is_raised_here(place: Path) -> None:
    with pytest.raises(OSError, match="No space left") as caught:
        list(run(fails, [1, 2, 3], named(place), workers=2))
    assert "in fails" in caught.value.__notes__[0]
    with pytest.raises(RuntimeError, match="OddError: ab"):
        list(run(fails, [4], named(place), workers=2))


def patient(_model: Model, item: str, _tick: Callable[[int], None]) -> Iterator[int]:
    """Begin a file and wait; clean up when interrupted."""
    Path(item).touch()
    try:
        yield os.getpid()
        time.sleep(60)
    finally:
        Path(item).unlink()
        Path(item + ".cleaned").touch()


def test_what_workers_were_writing_is_cleaned_up_when_the_run_is_closed(place: Path) -> None:
    items = [str(place / "done"), str(place / "a")]
    found = run(identity_or_wait, items, named(place), workers=2)
    pid = next(found)
    wait_until((place / "a").exists)
    found.close()
    assert not (place / "a").exists()
    assert (place / "a.cleaned").exists()
    assert not alive(pid)


def test_a_run_that_is_closed_leaves_nothing_to_the_next_one(place: Path) -> None:
    with Pool(named(place), 2) as pool:
        closed = pool.run(identity_or_wait, [str(place / "done"), str(place / "a")])
        next(closed)
        wait_until((place / "a").exists)
        closed.close()
        assert not (place / "a").exists()
        assert [item for item, _ in pool.run(identity, [7])] == [7]


def identity_or_wait(model: Model, item: str, tick: Callable[[int], None]) -> Iterator[int]:
    if item.endswith("done"):  # when the other has begun: later it would not be handed out
        wait_until(Path(item).with_name("a").exists)
        yield os.getpid()
    else:
        yield from patient(model, item, tick)


def wait_until(state: Callable[[], bool], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not state():
        assert time.monotonic() < end
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def threads(_model: Model, _item: int, _tick: Callable[[int], None]) -> Iterator[list[int]]:
    import torch
    from threadpoolctl import threadpool_info

    yield [torch.get_num_threads(), *(int(one["num_threads"]) for one in threadpool_info())]


def test_a_worker_uses_one_thread(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "3")
    (found,) = run(threads, [1], named(place), workers=2)
    assert set(found) == {1}
    assert len(found) > 1
