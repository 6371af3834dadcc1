"""Figures: what is drawn is where the axes say it is, and the numbers in them are those of the metrics."""
import base64
from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex, to_rgb

from weaklib import headless, metrics, plots, tables
from weaklib.constantq import ConstantQ
from weaklib.files import WeaklibError
from weaklib.rolls import piano_roll
from weaklib.runs import Record
from weaklib.tables import Metric, Row, Table

SR = 16000
TIME = np.arange(2 * SR) / SR
NOISE = np.random.default_rng(0).standard_normal(2 * SR)


def tone(frequency, amplitude=1.0):
    return amplitude * np.sin(2 * np.pi * frequency * TIME)


def image(ax):
    """What an axis shows, and (column -> seconds, row -> place on the y-axis) of its pixels' centres."""
    drawn = ax.images[0]
    left, right, bottom, top = drawn.get_extent()
    values = drawn.get_array()
    n_rows, n_columns = values.shape
    return values, lambda c: left + (c + 0.5) / n_columns * (right - left), \
        lambda r: bottom + (r + 0.5) / n_rows * (top - bottom)


def marks(ax) -> dict:
    return {label.get_text(): at for label, at in zip(ax.get_yticklabels(), ax.get_yticks())}


@pytest.mark.parametrize("scale, mark, frequency", [("linear", "2000", 2000), ("mel", "2000", 2000),
                                                    ("cqt", "C5", 523.25)])
def test_a_tone_is_drawn_at_its_mark_in_its_time_and_at_its_level(scale, mark, frequency):
    x = tone(frequency) * (TIME >= 1.5)
    figure = plots.stems({"loud": x, "quiet": 0.1 * x}, SR, scale=scale, notes={"loud": [[1.5, 2, 72]]})
    loud, quiet = figure.axes[:2]
    values, seconds, place = image(loud)
    row, column = values.argmax(0)[-8], values.shape[1] - 8
    assert place(row) == pytest.approx(marks(loud)[mark], abs=0.51)
    assert values[row, column] == pytest.approx(0, abs=0.2)
    assert image(quiet)[0][row, column] == pytest.approx(values[row, column] - 20, abs=0.1)
    heard = [seconds(c) for c in np.flatnonzero(values[row] > -12)]
    assert heard[0] == pytest.approx(1.5, abs=0.05) and heard[-1] == pytest.approx(2, abs=0.05)
    assert loud.get_xlim() == (0, 2)
    if scale == "cqt":
        (start, stop), = loud.collections[0].get_segments()
        assert start == pytest.approx([1.5, marks(loud)["C5"]]) and stop == pytest.approx([2, marks(loud)["C5"]])
        assert not quiet.collections


def test_notes_beyond_the_picture_are_not_drawn_at_its_edge():
    figure = plots.stems({"x": NOISE}, SR, fmax=1000, notes={"x": torch.tensor([[0.0, 1, 100, 80], [1, 2, 60, 80]])})
    above, drawn = figure.axes[0].collections[0].get_segments()
    assert len(above) == 0 and drawn[0, 1] == pytest.approx(261.63 / SR * 1024, abs=0.01)


def test_difference_shows_levels_and_residual():
    ref, est = tone(500), 1.1 * tone(500) + tone(3000, 0.01)
    figure = plots.difference(est, ref, SR)
    titles = [ax.get_title() for ax in figure.axes[:3]]
    left = f"{10 * np.log10(0.1 ** 2 + 0.01 ** 2):.1f} dB"
    assert titles[0] == "reference" and f"{left} re the reference" in titles[2] and left in figure.alt
    drawn = figure.axes[1].images[0]
    values = drawn.get_array()
    same, extra = values[[32, 192], values.shape[1] // 2]
    assert same == pytest.approx(20 * np.log10(1.1), abs=0.01) and extra == pytest.approx(70 - 40.8, abs=0.2)
    nothing, less, more = (np.array(drawn.to_rgba(dB)[:3]) for dB in (0, -20, 20))
    assert np.ptp(nothing) < 0.03 and less[2] > less[0] + 0.3 and more[0] > more[2] + 0.3  # grey, blue, red


@pytest.mark.parametrize("est, ref, told", [(tone(440), tone(440), ""), (tone(440), 0 * TIME, "")])
def test_residual_without_a_level_is_not_given_one(est, ref, told):
    assert "dB" not in plots.difference(est, ref, SR).axes[2].get_title()


REF = np.zeros((88, 20), dtype=bool)
REF[39, 2:10] = REF[43, 4:12] = REF[46, 15:18] = True
EST = np.zeros((88, 20), dtype=bool)
EST[39, 4:12] = EST[43, 4:12] = EST[50, 5:6] = True
HIT, MISSED, EXTRA = 6 + 8, 2 + 3, 2 + 1


def told(figure) -> str:
    return " ".join(text.get_text() for text in figure.legends[0].get_texts()) + " " + figure.axes[0].get_title("left")


def test_rolls_are_counted():
    text = told(plots.compare_rolls(EST.astype(np.float32), torch.from_numpy(REF)))
    precision, recall = HIT / (HIT + EXTRA), HIT / (HIT + MISSED)
    assert f"hit {HIT} missed {MISSED} extra {EXTRA}" in text
    assert f"precision {precision:.2f}, recall {recall:.2f}, F1 {metrics.frame_f1(EST, REF):.2f}" in text
    assert metrics.frame_f1(EST, REF) == pytest.approx(2 * precision * recall / (precision + recall))


def boxes(collection, frame_rate, lowest=21) -> set:
    """(row, first frame, frame after the last) of every bar; a frame is centred on its time."""
    found = set()
    for path in collection.get_paths():
        (left, bottom), (right, top) = path.vertices.min(0), path.vertices.max(0)
        found.add((round((bottom + top) / 2 - lowest, 3), round(left * frame_rate + 0.5, 3),
                   round(right * frame_rate + 0.5, 3)))
    return found


def test_rolls_are_drawn_where_they_sound_and_told_apart_without_colour():
    ax = plots.compare_rolls(EST, REF, frame_rate=50).axes[0]
    hit, missed, extra = ax.collections
    assert boxes(hit, 50) == {(39, 4, 10), (43, 4, 12)}
    assert boxes(missed, 50) == {(39, 2, 4), (46, 15, 18)}
    assert boxes(extra, 50) == {(39, 10, 12), (50, 5, 6)}
    grey = [to_rgb(c.get_facecolor()[0]) @ np.array([0.299, 0.587, 0.114]) for c in (hit, missed, extra)]
    assert np.diff(sorted(grey)).min() > 0.2
    height = [np.ptp(c.get_paths()[0].vertices[:, 1]) for c in (hit, extra)]
    assert height[1] < 0.5 * height[0]


def test_notes_are_compared_as_their_rolls():
    notes = np.array([[0.1, 0.5, 60], [0.25, 1.0, 64], [1.5, 1.9, 67]])
    roll = piano_roll(notes, 62, 32.0)
    moved = np.roll(roll, 2, axis=1)
    expected = told(plots.compare_rolls(moved, roll))
    assert told(plots.compare_rolls(moved, notes)) == expected
    with_velocity = torch.tensor(np.insert(notes, 3, 80, axis=1))
    assert told(plots.compare_rolls(moved, with_velocity)) == expected
    shifted = notes + [2 / 32, 2 / 32, 0]
    assert told(plots.compare_rolls(shifted, notes)) == expected


@pytest.mark.parametrize("est, ref, ratios", [
    ([], REF, "precision -, recall 0.00, F1 0.00"),
    (REF, np.zeros((0, 3)), "precision 0.00, recall -, F1 0.00"),
    ([], [], "precision -, recall -, F1 -"),
])
def test_ratios_of_nothing_are_not_numbers(est, ref, ratios):
    assert ratios in told(plots.compare_rolls(est, ref))


@pytest.mark.parametrize("est, options, message", [
    (REF[:, :-1], {}, "shapes"), (REF[None], {}, "shapes"), ([[0, 1, 20]], {}, "from 21 to 108"),
    ([[0, 1, 109]], {}, "keys of a piano"), ([[0, np.inf, 60]], {}, "keys of a piano"),
    ([[0, 1, 60]], {"lowest": 24}, "lowest=24"),
])
def test_what_cannot_be_compared(est, options, message):
    with pytest.raises(WeaklibError, match=message) as e:
        plots.compare_rolls(est, REF, **options)
    assert str(e.value).endswith(".") and "\n" not in str(e.value)


TABLE = Table("table1", "1", "Table 1", (Metric("gain", "Gain", "dB"),), (
    Row("a", "a & b", method="first"), Row("b", "ours", ours=True), Row("c", "a, again", method="first"),
    Row("d", "not run")), {"test": "all", "loud": "loud"}, "")


@pytest.fixture(autouse=True)
def printed(monkeypatch):
    """What the paper prints."""
    monkeypatch.setattr(tables, "paper_numbers", lambda paper, name: [
        {"row": row, "metric": "gain", "split": split, "value": value}
        for row, split, value in (("a", "test", "2.5"), ("c", "loud", "-1"), ("d", "test", "7"))])


def seed(gain, loud=0.0):
    return Record("", {}, {"gain": [gain], "gain/loud": [loud]}, [], {}, None, None)


def test_a_tables_rows_are_drawn_against_the_paper_where_they_were_run():
    """A panel per column; the paper's numbers as diamonds, ours as dots with the spread over seeds."""
    a, b, c, d = TABLE.rows
    records = {a: [seed(1.0), seed(2.0), seed(6.0)], b: [seed(-4.0, 3.0)], c: [seed(0.5)], d: []}
    figure = plots.against("toy", TABLE, records)
    assert [ax.get_title() for ax in figure.axes] == ["all", "loud"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["a & b", "ours †", "a, again"]
    for ax, diamonds, dots in zip(figure.axes, ([(2.5, 0)], [(-1, 2)]),
                                  ([(3, 0), (-4, 1), (0.5, 2)], [(0, 0), (3, 1), (0, 2)])):
        drawn = {"D": [], "o": []}
        for line in ax.lines:
            if line.get_marker() in drawn:
                drawn[line.get_marker()] += [tuple(map(float, xy)) for xy in line.get_xydata()]
        assert drawn == {"D": diamonds, "o": dots}
    bars, = (path.vertices for c in figure.axes[0].collections for path in c.get_paths() if np.ptp(path.vertices[:, 0]))
    assert bars[:, 0] == pytest.approx([3 - 7 ** 0.5, 3 + 7 ** 0.5])  # of 1, 2 and 6
    assert figure._supxlabel.get_text() == "Gain (dB, higher is better)"


def test_a_row_about_one_column_has_no_diamond_in_another():
    rows = {Row("a", split, only=split): [seed(1.0)] for split in ("test", "loud")}
    table = Table("table1", "1", "Table 1", TABLE.metrics, tuple(rows), TABLE.splits, "")
    first, second = plots.against("toy", table, rows).axes
    assert [line.get_ydata()[0] for line in first.lines if line.get_marker() == "D"] == [0]
    assert not [line for line in second.lines if line.get_marker() == "D"]


def test_rows_of_one_method_share_a_colour():
    found = plots.colours(TABLE)
    assert list(found) == ["a & b", "ours", "a, again", "not run"]
    assert found["a & b"] == found["a, again"] and len(set(found.values())) == 3
    entries = [{"step": 1, "score": 0.0}]
    curves = plots.history(dict.fromkeys(reversed(found), entries), ylabel="dB", colours=found)
    assert {line.get_label(): line.get_color() for line in curves.axes[0].lines} == found
    assert curves.axes[0].get_ylabel() == "dB"


def test_a_table_is_drawn_by_any_of_its_metrics_in_the_columns_that_have_numbers():
    a, b, c, _ = TABLE.rows
    table = replace(TABLE, metrics=(*TABLE.metrics, Metric("loss", "Loss", "dB")))
    scored = Record("", {}, {"loss/loud": [4.0]}, [], {}, None, None)
    figure = plots.against("toy", table, {a: [scored], b: [], c: []}, metric="loss")
    assert [ax.get_title() for ax in figure.axes] == ["loud"]
    assert [tuple(line.get_xydata()[0]) for line in figure.axes[0].lines if line.get_marker() == "o"] == [(4.0, 0.0)]
    assert figure._supxlabel.get_text() == "Loss (dB, higher is better)"
    assert [ax.get_title() for ax in plots.against("toy", TABLE, {a: [seed(1.0)], b: []}).axes] == ["all", "loud"]


def drawn(ax) -> dict:
    """Points by colour: (x, y, half of the bar) of lines, or (x, y, area) of markers."""
    found = {}
    for container in ax.containers:
        line, _, bars = container
        halves = [np.ptp(segment[:, 1]) / 2 if len(segment) else 0 for segment in bars[0].get_segments()]
        found[to_hex(line.get_color())] = [(*xy, half) for xy, half in zip(line.get_xydata().tolist(), halves)]
    for dots in ax.collections if not ax.containers else []:
        found[to_hex(dots.get_facecolor()[0])] = [(*xy, area) for xy, area in zip(
            dots.get_offsets().tolist(), dots.get_sizes().tolist())]
    return found


def legend(figure) -> dict:
    """Title of a line -> its colour and its marker."""
    return {text.get_text(): (to_hex(handle.get_color()), handle.get_marker())
            for text, handle in zip(figure.legends[0].get_texts(), figure.legends[0].legend_handles)}


def test_a_sweep_is_drawn_as_means_with_their_spread_where_there_is_one():
    figure = plots.sweep({"dry": {"matched": {100.0: [3.0], 0: [1.0, 3.0, 5.0], 50: []}, "mismatched": {0: [-1.0]}},
                          "in rooms": {"mismatched": {10: [2.0, 2.5]}}}, xlabel="share, %", ylabel="gain, dB")
    dry, rooms = figure.axes
    assert (dry.get_title(), rooms.get_title()) == ("dry", "in rooms")
    (matched, _), (mismatched, _) = (legend(figure)[title] for title in ("matched", "mismatched"))
    found = drawn(dry)
    assert found[matched] == [(0, 3, 2), (100, 3, 0)]  # in the order of the axis
    assert [xy[:2] for xy in found[mismatched]] == [(0, -1)]
    assert drawn(rooms) == {mismatched: [(10, 2.25, pytest.approx(0.5 / 2 ** 0.5))]}
    assert [label.get_text() for label in dry.get_xticklabels()] == ["0", "10", "100"]
    assert dry.get_ylim() == rooms.get_ylim() and dry.get_xlim() == rooms.get_xlim()
    assert (figure._supxlabel.get_text(), figure._supylabel.get_text()) == ("share, %", "gain, dB")


def test_a_sweep_over_shares_has_them_as_marks_on_a_log_axis():
    figure = plots.sweep({"one": {"line": {0.1: [1.0], 1: [2.0], 100: [3.0]}}}, xlabel="", ylabel="", xscale="log")
    ax, = figure.axes
    figure.canvas.draw()
    assert ax.get_xscale() == "log" and not ax.get_xticks(minor=True).size
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0.1", "1", "100"]


@pytest.mark.parametrize("bins_per_octave", [12, 48])
def test_what_a_network_hears_is_drawn_at_its_note_in_its_time(bins_per_octave):
    transform = ConstantQ(bins_per_octave)
    picture = transform(tone(523.25) * (TIME >= 1))
    figure = plots.constant_q({"heard": torch.from_numpy(picture), "silence": -np.ones_like(picture)}, transform)
    heard, silence = figure.axes[:2]
    values, seconds, place = image(heard)
    row, column = values[:, 75].argmax(), 75
    assert place(row) == pytest.approx(marks(heard)["C5"], abs=0.51) and seconds(column) == pytest.approx(1.5)
    assert values.max() == pytest.approx(0, abs=0.1) and values[row, 10] < -40
    assert (image(silence)[0] == -80).all()


def test_clouds_have_every_point_where_it_is_and_one_scale():
    far = np.array([[0.0, 0.0], [10.0, 2.0]])
    figure = plots.clouds({"there": {"a": far, "b": torch.ones(1, 2)}, "back": {"b": far - 1}}, xlabel="x", ylabel="y")
    there, back = figure.axes
    assert [line.get_xydata().tolist() for line in there.lines] == [far.tolist(), [[1, 1]]]
    assert [line.get_linestyle() for line in there.lines] == ["None", "None"]
    assert there.lines[1].get_color() == back.lines[0].get_color() != there.lines[0].get_color()
    figure.draw_without_rendering()
    for ax in (there, back):
        (x0, y0), (x1, y1) = ax.transData.transform([(0, 0), (1, 1)])
        assert x1 - x0 == pytest.approx(y1 - y0)
    assert [entry.get_text() for entry in figure.legends[0].get_texts()] == ["a", "b"]
    assert "in panels: there; back. Kinds: a, b." in figure.alt


def test_flows_lead_from_box_to_box_and_tell_what_is_made_from_what_is_given():
    figure = plots.flows({"there": ({"a": (0, 0), "b*": (0, 1)}, [("a", "b*", "f")], []),
                          "back": ({"a": (0, 0), "a*": (1, 2)}, [], [("a", "a*", "alike")])})
    there, back = figure.axes
    boxes = {text.get_text(): text for text in there.texts if text.get_bbox_patch()}
    assert {text: box.get_bbox_patch().get_linestyle() for text, box in boxes.items()} == {"a": "-", "b": "--"}
    arrow, = (text for text in there.texts if getattr(text, "arrow_patch", None))
    assert (arrow.xyann, arrow.xy) == (boxes["a"].get_position(), boxes["b"].get_position()) == ((0, 0), (0, -1))
    assert {"f"} <= {text.get_text() for text in there.texts}
    label, = (text for text in back.texts if text.get_text() == "alike")
    x, y = label.get_position()
    assert x < 0.5 and y < -1  # to the right of who goes down to the right: that is left of the line, and below it
    assert "a to b (f)" in figure.alt and "a to a (alike)" in figure.alt


def test_pictures_stand_in_rows_under_their_titles():
    red = np.zeros((3, 2, 4), np.float32)
    red[0, 0, 3] = 1  # the upper right pixel
    figure = plots.pictures({name: torch.from_numpy(red) for name in "abc"}, n_columns=2)
    titled = [ax for ax in figure.axes if ax.images]
    assert [ax.get_title() for ax in titled] == ["a", "b", "c"]
    figure.draw_without_rendering()
    (xa, ya), (xb, yb), (xc, yc) = (ax.get_position().p0 for ax in titled)
    assert ya == pytest.approx(yb) and xa == pytest.approx(xc) and xa < xb and yc < ya
    drawn = titled[0].images[0].get_array()
    assert drawn.shape == (2, 4, 3) and drawn[0, 3].tolist() == [1, 0, 0] and drawn.sum() == 1


def test_a_trade_is_drawn_with_an_area_for_every_weight():
    figure = plots.trade({"M = 4": {"none": {0: [(10.0, 8.0)]}, "l1": {8.0: [(12, 7), (14, 8)], 2.0: [(11, 9)]}},
                          "M = 8": {"l1": {2.0: [(1, 2)], 4.0: [(3, 4)], 8: []}}}, xlabel="1S", ylabel="MSi")
    four, eight = figure.axes
    (none, _), (l1, _) = (legend(figure)[title] for title in ("none", "l1"))
    light, heavy = drawn(four)[l1]
    assert (light[:2], heavy[:2]) == ((11, 9), (13, 7.5)) and heavy[2] == pytest.approx(2 * light[2])
    assert [xy[:2] for xy in drawn(four)[none]] == [(10, 8)] and drawn(four)[none][0][2] > 0
    small, large = drawn(eight)[l1]
    assert large[2] == pytest.approx(2 ** 0.5 * small[2])
    assert large[2] == pytest.approx(heavy[2])  # both are the largest of their panel
    path = next(line for line in four.lines if to_hex(line.get_color()) == l1)
    assert path.get_xydata().tolist() == [[11, 9], [13, 7.5]]
    assert (figure._supxlabel.get_text(), figure._supylabel.get_text()) == ("1S", "MSi")


def test_eight_lines_are_told_apart_by_colour_and_by_marker():
    figure = plots.sweep({"one": {f"line {k}": {0: [k]} for k in range(8)}}, xlabel="", ylabel="")
    assert all(len(set(found)) == 8 for found in zip(*legend(figure).values()))


def test_spectrograms_beside_each_other_stand_row_by_row():
    tones = {f"{hertz}": tone(hertz) for hertz in (2000, 4000, 6000)}
    panels = plots.stems(tones, SR, n_columns=2).axes[:3]
    (left, top), (right, first), (below, second) = (ax.get_position().p0 for ax in panels)
    assert left == pytest.approx(below, abs=0.01) and left < right and top == pytest.approx(first) and second < top
    assert [ax.get_title() for ax in panels] == ["2000", "4000", "6000"]
    for ax in panels:
        values, _, place = image(ax)
        assert place(values[:, 50].argmax()) == pytest.approx(marks(ax)[ax.get_title()], abs=1)


def test_prices_are_drawn_at_their_place_with_names_that_lie_apart():
    kinds = {"free": {"nothing": (0, [1.0, 2.0, 3.0])},
             "stems": {"stems 100 %": (350.0, [9.0]), "stems 1 %": (3.5, [1.5])},
             "score": {"score": ((10.0, 100.0), [6.0]), "score, too": ((10.0, 100.0), [6.1])}}
    figure = plots.priced(kinds, xlabel="hours", ylabel="dB", levels={"mixture": -3.0})
    ax, = figure.axes
    points = [line for line in ax.lines if line.get_marker() in plots.MARKERS]
    assert [np.round(line.get_xdata(), 3).tolist() for line in points] == [
        [0.1], [350.0], [3.5], [10.0, 100.0], [10.0, 100.0]]  # what is free stands a decade before all else
    assert [float(line.get_ydata()[0]) for line in points] == pytest.approx([2.0, 9.0, 1.5, 6.0, 6.1])
    assert len({line.get_color() for line in points}) == 3 and ax.get_xscale() == "log"
    joined = [line for line in ax.lines if line.get_alpha() == 0.6 and len(line.get_xdata()) == 2]
    assert [round(x, 3) for x in joined[0].get_xdata()] == [3.5, 350.0]
    assert [label.get_text() for label in ax.get_xticklabels()][:2] == ["0", "1"]
    names = {text.get_text(): text.get_window_extent() for text in ax.texts}
    written = [names[name] for points in kinds.values() for name in points]
    assert not any(a.overlaps(b) for i, a in enumerate(written) for b in written[i + 1:])
    assert all(said in figure.alt for said in ("score, 10 or 100: 6.0; ", "nothing, 0: 2.0 ± 1.0", "mixture: -3.0"))
    paid = plots.priced({"score": {"all": (2e-4, [0.83, 0.85])}}, xlabel="hours", ylabel="F1", digits=2)
    assert "all, 0.0002: 0.84 ± 0.01" in paid.alt  # and where nothing is free, no mark is a zero
    assert [label.get_text() for label in paid.axes[0].get_xticklabels()][:2] == ["0.0001", "0.001"]
    with pytest.raises(WeaklibError, match="give some label a price"):
        plots.priced({"free": {"nothing": (0, [1.0])}}, xlabel="hours", ylabel="dB")


def test_a_small_picture_keeps_the_colours_of_small_markers():
    """Each of the colours that are told apart is there, if only in a marker or two."""
    from io import BytesIO

    from PIL import Image
    lines = {"one": {f"line {k}": {0: [k], 1: [k + 1.0, k + 2.0]} for k in range(8)}}
    picture = Image.open(BytesIO(plots.png(plots.sweep(lines, xlabel="x", ylabel="y")))).convert("RGB")
    kept = np.array([colour for _, colour in picture.getcolors(1 << 20)])
    for colour in plots.DISTINCT:
        wanted = np.array([int(colour[i:i + 2], 16) for i in (1, 3, 5)])
        assert np.abs(kept - wanted).max(1).min() <= 20, colour


def test_every_figure_has_alternative_text():
    roll = {"a & b": REF}
    figures = [plots.stems({"a & b": NOISE}, SR), plots.rolls(roll),
               plots.masks(NOISE, {"a & b": np.ones((257, 251))}, SR, hop_length=128),
               plots.history({"a & b": [{"step": 1, "score": 0.0}]}, ylabel="dB"),
               plots.assignments([(0, 1), (1, 0)], [1.0, 2.0]),
               plots.against("toy", TABLE, {TABLE.rows[0]: [seed(1.0)]}),
               plots.sweep({"one": {"a & b": {1: [0.0]}}}, xlabel="share", ylabel="dB"),
               plots.trade({"a & b": {"l1": {1: [(0.0, 1.0)]}}}, xlabel="1S", ylabel="MSi"),
               plots.priced({"a & b": {"a & b": (1, [0.0])}}, xlabel="hours", ylabel="dB"),
               plots.constant_q({"a & b": -np.ones((50, 88))}, ConstantQ(12)),
               plots.flows({"a & b": ({"x": (0, 0), "y": (0, 1)}, [("x", "y", "f")], [])}),
               plots.pictures({"a & b": np.zeros((3, 4, 4))})]
    assert all(figure.alt.endswith(".") and len(figure.alt) > 20 for figure in figures)
    assert sum("a & b" in figure.alt for figure in figures) == 11


def test_a_caption_stands_whole_under_the_figure_and_begins_its_alternative_text():
    from io import BytesIO

    from PIL import Image
    said = "What costs $5 is " + 20 * "dearer, and " + "so on."
    bare, captioned = (plots.sweep({"one": {"line": {1: [0.0, 1.0]}}}, xlabel="share", ylabel="dB") for _ in range(2))
    alt, (width, height) = bare.alt, bare.get_size_inches() * bare.dpi
    assert plots.captioned(captioned, said) is captioned
    assert captioned.alt == f"{said} {plots.SPREAD} {alt}"
    before, after = (np.asarray(Image.open(BytesIO(plots.png(one))).convert("L")).astype(int)
                     for one in (bare, captioned))
    assert before.shape == (height, width) and after.shape[1] == width
    assert np.abs(after[:len(before)] - before).max() <= 20  # the figure itself stays as it is, but for few colours
    below = after[len(before):] < 128
    words, = captioned.texts[-1:]
    assert words.get_text() == f"{said} {plots.SPREAD}"
    written = np.flatnonzero(below.any(1))
    assert len(below) - written[-1] < 12 and written[0] < 8  # the last line is there, and the first is near the figure
    assert not below[:, -1:].any() and 0.8 * width < np.flatnonzero(below.any(0))[-1]  # lines use the width
    with pytest.raises(WeaklibError, match="has a caption"):
        plots.captioned(captioned, said)


def test_a_caption_of_wide_letters_is_not_cut():
    from io import BytesIO

    from PIL import Image
    figures = [plots.captioned(plots.rolls({"piano": np.eye(88)}), word * 60) for word in ("WM ", "il ")]
    wide, narrow = (np.asarray(Image.open(BytesIO(plots.png(figure))).convert("L")) for figure in figures)
    assert len(wide) > len(narrow) and (wide[-40:, -1] > 200).all()


@pytest.mark.parametrize("seeds, told", [([1.0], ""), ([1.0, 2.0], plots.SPREAD)])
def test_a_caption_speaks_of_a_spread_where_there_is_one(seeds, told):
    drawn = (plots.sweep({"one": {"line": {1: seeds}}}, xlabel="share", ylabel="dB"),
             plots.priced({"one": {"point": (1, seeds)}}, xlabel="hours", ylabel="dB"))
    assert [figure.reading for figure in drawn] == [told, told]


def test_a_notebook_keeps_alternative_text(tmp_path):
    from io import BytesIO

    import nbformat
    from nbclient import NotebookClient
    from PIL import Image
    code = ("import numpy as np\nfrom weaklib import plots\n"
            "plots.captioned(plots.rolls({'piano': np.eye(88)}), 'A scale.')")
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    NotebookClient(nb, kernel_name="python3", timeout=300).execute()
    output, = nb.cells[0].outputs
    assert "piano" in output.metadata["image/png"]["alt"] and output.data["image/png"]
    nbformat.write(nb, tmp_path / "kept.ipynb")
    for _ in range(2):
        headless.clean(tmp_path / "kept.ipynb")
    kept, = nbformat.read(tmp_path / "kept.ipynb", as_version=4).cells[0].outputs
    assert kept.metadata == output.metadata and kept.data.keys() == {"image/png", "text/plain"}
    figure = plots.captioned(plots.rolls({"piano": np.eye(88)}), "A scale.")
    there, here = (np.asarray(Image.open(BytesIO(data)).convert("L")).astype(int)
                   for data in (base64.b64decode(kept.data["image/png"]), plots.png(figure)))
    assert there.shape == here.shape and np.abs(there - here).max() < 30  # with its caption, in few colours


def test_jupyterlab_gets_a_figure_with_its_alternative_text():
    """It takes HTML before a picture, of which it drops the text."""
    figure = plots.history({'a < "b"': [{"step": 1, "score": 0.0}]}, ylabel="dB")
    page = figure._repr_mimebundle_()[0]["text/html"]
    assert 'alt="Curves of dB over the training steps: a &lt; &quot;b&quot;."' in page
    assert base64.b64decode(page.split("base64,")[1].split('"')[0]).startswith(b"\x89PNG")


def test_rolls_are_bars_at_their_notes_on_an_axis_that_can_be_shared():
    figure = plots.rolls({"est": EST, "ref": REF}, frame_rate=50, title="both", pitches=(40, 80))
    ax, = figure.axes
    est, ref = ax.collections
    assert boxes(est, 50) == {(39, 4, 12), (43, 4, 12), (50, 5, 6)}
    assert boxes(ref, 50) == {(39, 2, 10), (43, 4, 12), (46, 15, 18)}
    assert ax.get_ylim() == (38.5, 81.5) and ax.get_xlim() == (0, 20 / 50)
    assert marks(ax) == {"C3": 48, "C4": 60, "C5": 72}
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["est", "ref"] and "both" in figure.alt
    figure.draw_without_rendering()
    assert not figure.legends[0].get_window_extent().overlaps(ax.get_window_extent())


def test_the_legend_of_curves_covers_none_of_them():
    titles = [f"a row with a long title, number {k}" for k in range(9)]
    figure = plots.history({title: [{"step": 1, "score": 0.0}] for title in titles}, ylabel="")
    figure.draw_without_rendering()
    assert not figure.legends[0].get_window_extent().overlaps(figure.axes[0].get_window_extent())
