"""weaklib.progress: who is told what, and how work is ended."""
import io
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


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(screen, *blocks, monkeypatch, seconds=1.0) -> None:
    """Show blocks of lines, so many seconds after each other by the clock that does not jump."""
    now = progress.time.monotonic()
    for n, block in enumerate(blocks, 1):
        monkeypatch.setattr(progress.time, "monotonic", lambda n=n: now + n * seconds)
        screen.show(lambda block=block: list(block))


def test_a_screen_writes_over_its_own_lines_in_a_terminal_and_below_what_is_said(monkeypatch):
    out = Terminal()
    screen = progress.Screen(out)
    shown(screen, ["a 1", "all 1"], ["a 2", "b 1", "all 2"], ["all 3"], monkeypatch=monkeypatch)
    screen.say("a is done")
    screen.close()
    clear = ["\r\033[1A\033[J", "\r\033[2A\033[J", "\r\033[J"]
    assert out.getvalue() == ("a 1\nall 1" + clear[0] + "a 2\nb 1\nall 2" + clear[1] + "all 3" + clear[2] +
                              "a is done\n")


def test_a_small_terminal_keeps_the_last_line(monkeypatch):
    monkeypatch.setattr(progress.shutil, "get_terminal_size", lambda: (10, 4))
    out = Terminal()
    shown(progress.Screen(out), [*(f"run {n} with a long name" for n in range(9)), "all"], monkeypatch=monkeypatch)
    assert out.getvalue() == "run 0 wit\nrun 1 wit\nall"


def test_a_log_gets_plain_lines_and_seldom(monkeypatch):
    out = io.StringIO()
    blocks = [[f"run {n}  ", f"all {n}"] for n in range(1, 9)]
    shown(progress.Screen(out), *blocks, monkeypatch=monkeypatch, seconds=10)
    assert out.getvalue() == "run 3\nall 3\nrun 6\nall 6\n"


def test_below_run_all_the_last_line_goes_through_the_file(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(progress.CHANNEL, str(tmp_path / "channel"))
    screen = progress.Screen()
    shown(screen, ["run", "all"], monkeypatch=monkeypatch)
    screen.close()
    assert (tmp_path / "channel").read_text() == "all" and capsys.readouterr() == ("", "")
