"""weaklib.progress: who is told what, and how work is ended."""
import threading

import pytest

from weaklib import progress


def test_a_listener_is_told_of_every_item_and_the_terminal_of_none(capfd):
    told = []
    with progress.told(lambda *line: told.append(line)):
        assert list(progress.track("abc", "spelling")) == ["a", "b", "c"]
        assert list(progress.track(iter([5]), "counting", total=6, initial=5)) == [5]
    assert told == [("spelling", n, 3) for n in range(4)] + [("counting", 5, 6), ("counting", 6, 6)]
    assert capfd.readouterr() == ("", "")
    list(progress.track("abc", "spelling"))
    assert len(told) == 6 and "spelling: 100%" in capfd.readouterr().err


def test_a_listener_ends_the_work_by_raising():
    def tell(desc, done, total):
        if done == 2:
            raise InterruptedError

    seen = []
    with pytest.raises(InterruptedError), progress.told(tell):
        for item in progress.track(range(10), "counting"):
            seen.append(item)
    assert seen == [0, 1]


def test_a_listener_hears_its_own_thread_only(capfd):
    told = []
    with progress.told(lambda *line: told.append(line)):
        other = threading.Thread(target=lambda: list(progress.track("abc", "elsewhere")))
        other.start()
        other.join()
    assert not told and "elsewhere: 100%" in capfd.readouterr().err


def test_work_that_is_done_before_the_delay_shows_nothing(capfd):
    assert list(progress.track(range(3), "quick", delay=60)) == [0, 1, 2]
    assert capfd.readouterr() == ("", "")
