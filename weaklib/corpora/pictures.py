"""Pictures of what is heard, drawn by the kit: *synthetic frames* for methods that are given the frames of a video.

A class is a *glyph* of a few shapes that resembles it: a violin has a waist, strings and a bow, a trumpet three valves
and a bell. A picture shows it from some side, in any colours and at any size, warped, before a background with clutter,
beside other shapes, partly hidden and with noise, so that knowing it is not trivial. Nothing is copied from anywhere.

Contents
--------
frame
    A picture of a class.
frames
    Pictures of an item.
GLYPHS
    The shapes of every class.
"""
from __future__ import annotations

import colorsys
import json
import zlib
from importlib import resources

import numpy as np
from PIL import Image, ImageDraw

from weaklib.corpora import Corpus
from weaklib.files import WeaklibError

VERSION = 1  # raised by hand when the pictures change, for the keys of what is trained on them
STREAM = 30  # of random numbers, of which the corpora have none
FINE = 3  # pixels drawn for each of a picture's
SIZE = (0.55, 0.95)  # of a glyph, re the picture
TURN = 25.0  # degrees, at most
WOBBLE = 0.02  # of a glyph's coordinates, standard deviation
HIDDEN = 0.6  # how often something is in front
NOISE = 0.04  # standard deviation, of brightness from 0 to 1


#: Class -> shapes, each a letter for what it is, one for its colour (body, dark, white, extra) and numbers; x goes from
#: -1 to 1 to the right, y down. "o" is an oval (centre, radii), "r" a rectangle (two corners), "p" a polygon, "l" a
#: line (width, points), "a" an arc (width, centre, radii, from and to in degrees, clockwise).
GLYPHS: dict[str, list[str]] = json.loads(
    resources.files("weaklib.corpora").joinpath("pictures.json").read_text(encoding="utf-8"))


def frame(label: str, rng: np.random.Generator, size: int = 48) -> np.ndarray:
    """Draw a picture of a class.

    Parameters
    ----------
    label : str
        One of `GLYPHS`: a class of `instruments` or `events`.
    rng : numpy.random.Generator
    size : int, pixels

    Returns
    -------
    array, shape=(3, size, size), float32
        Red, green and blue, 0 to 1.

    Raises
    ------
    WeaklibError
        If no glyph is there for `label`.
    """
    return _drawn(label, rng, rng, size)


def frames(corpus: Corpus, i: int, n: int = 3, size: int = 48) -> np.ndarray:
    """Draw `n` frames of the video of item `i` of a corpus with recordings -> (n, 3, size, size), float32.

    All frames of a recording show one thing before one background; how it is held, what hides it and the noise are
    those of a frame. Those of two splits, or of a corpus and its pool, have nothing in common.

    Raises
    ------
    WeaklibError
        If the corpus has no recordings of one class each.
    """
    if not hasattr(corpus, "recordings"):
        raise WeaklibError(f"{corpus.name} has no recordings of one thing each to draw; choose instruments or events.")
    i = range(len(corpus))[i]
    label, recording = next((label, k) for label, found in corpus.recordings.items() for k, items in enumerate(found)
                            if i in items)
    stream = (STREAM, zlib.crc32(corpus.name.encode()), corpus.classes.index(label), recording)
    return np.stack([_drawn(label, corpus.rng(*stream), corpus.rng(*stream, i + 1, k), size) for k in range(n)])


def _drawn(label, scene, moment, size):
    """Draw a picture; `scene` draws what is there, `moment` how it looks just now."""
    if label not in GLYPHS:
        raise WeaklibError(f"There is no picture of {label!r}; choose one of {', '.join(GLYPHS)}.")
    side = size * FINE
    canvas = _background(scene, side)
    pen = ImageDraw.Draw(canvas)
    for _ in range(scene.integers(3, 8)):
        _blot(pen, scene, side, 0.05, 0.3)
    colours, shapes = _colours(scene), _wobbled(scene, GLYPHS[label])
    to = _pose(scene, moment, side)
    for kind, colour, numbers in shapes:
        _shape(pen, to, kind, colours[colour], numbers)
    for _ in range(moment.integers(1, 4)):
        _blot(pen, moment, side, 0.03, 0.08)
    if moment.random() < HIDDEN:
        _blot(pen, moment, side, 0.1, 0.2)
    x = np.asarray(canvas.reduce(FINE), np.float32).transpose(2, 0, 1) / 255
    x = 0.5 + (x - 0.5) * moment.uniform(0.6, 1.1) + moment.uniform(-0.1, 0.1)
    return np.clip(x + NOISE * moment.standard_normal(x.shape), 0, 1).astype(np.float32)


def _background(rng, side):
    """A gradient between two colours, in some direction."""
    ends = np.array([_colour(rng, (0, 0.5), (0.2, 0.9)) for _ in range(2)], float)
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-1:1:side * 1j, -1:1:side * 1j]
    share = (0.5 + (np.cos(angle) * x + np.sin(angle) * y) / 3)[..., None]
    return Image.fromarray((ends[0] + share * (ends[1] - ends[0])).clip(0, 255).astype(np.uint8))


def _colour(rng, saturation, value):
    """Draw a colour of any hue -> red, green, blue, 0 to 255."""
    drawn = colorsys.hsv_to_rgb(rng.random(), rng.uniform(*saturation), rng.uniform(*value))
    return tuple(round(255 * part) for part in drawn)


def _colours(rng):
    """Draw the colours of a glyph."""
    return {"b": _colour(rng, (0.3, 1), (0.4, 0.9)), "d": _colour(rng, (0, 0.6), (0.05, 0.3)),
            "w": _colour(rng, (0, 0.25), (0.85, 1)), "e": _colour(rng, (0.4, 1), (0.5, 1))}


def _wobbled(rng, glyph):
    """Read the shapes of a glyph, and move their points a little: (kind, colour, numbers)."""
    shapes = []
    for shape in glyph:
        kind, colour, *numbers = shape.split()
        numbers = np.array(numbers, float)
        held = {"l": 1, "a": 1}.get(kind, 0)  # widths stay as they are, and so do the angles of arcs
        stop = 5 if kind == "a" else len(numbers)
        numbers[held:stop] += WOBBLE * rng.standard_normal(stop - held)
        shapes.append((kind, colour, numbers))
    return shapes


def _pose(scene, moment, side):
    """Draw how a glyph is held: a function of points (point, 2) to pixels, and of a width to one."""
    angle = np.deg2rad(moment.uniform(-TURN, TURN))
    scale = scene.uniform(*SIZE) * moment.uniform(0.9, 1.1) * side / 2
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shear = np.array([[scene.choice((-1, 1)) * scene.uniform(0.75, 1.1), scene.uniform(-0.2, 0.2)], [0, 1]])
    free = max(side / 2 - 0.9 * scale, 0.05 * side)  # of which it may be away from the middle
    centre = side / 2 + moment.uniform(-free, free, 2)
    return lambda points: np.asarray(points) @ (turn @ shear).T * scale + centre, scale


def _blot(pen, rng, side, least, most):
    """Draw an oval, a polygon or a stroke of some size, re the picture, anywhere."""
    centre, radius = rng.uniform(0, side, 2), rng.uniform(least, most) * side
    colour = _colour(rng, (0, 0.9), (0.1, 1))
    corners = centre + radius * rng.uniform(-1, 1, (int(rng.integers(3, 6)), 2))
    match rng.integers(3):
        case 0:
            pen.ellipse([*(centre - radius), *(centre + radius * rng.uniform(0.4, 1, 2))], fill=colour)
        case 1:
            pen.polygon(list(map(tuple, corners)), fill=colour)
        case _:
            pen.line(list(map(tuple, corners)), fill=colour, width=max(1, round(0.15 * radius)))


def _shape(pen, pose, kind, colour, numbers):
    """Draw a shape of a glyph."""
    to, scale = pose
    if kind in "la":
        width, *numbers = numbers
    if kind in "oa":
        x, y, rx, ry, *ends = numbers
        angles = np.deg2rad(np.linspace(*(ends or (0, 360)), 33))
        points = np.column_stack([x + rx * np.cos(angles), y + ry * np.sin(angles)])
    elif kind == "r":
        x0, y0, x1, y1 = numbers
        points = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    else:
        points = np.reshape(numbers, (-1, 2))
    points = list(map(tuple, to(points)))
    if kind in "la":
        pen.line(points, fill=colour, width=max(1, round(width * scale)), joint="curve")
    else:
        pen.polygon(points, fill=colour)
