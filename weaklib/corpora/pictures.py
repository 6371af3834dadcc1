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
import zlib

import numpy as np
from PIL import Image, ImageDraw

from weaklib.corpora import Corpus
from weaklib.files import WeaklibError

STREAM = 30  # of random numbers, of which the corpora have none
FINE = 3  # pixels drawn for each of a picture's
SIZE = (0.55, 0.95)  # of a glyph, re the picture
TURN = 25.0  # degrees, at most
WOBBLE = 0.02  # of a glyph's coordinates, standard deviation
HIDDEN = 0.6  # how often something is in front
NOISE = 0.04  # standard deviation, of brightness from 0 to 1


def _each(shape, *rows):
    """Repeat a shape for each row of numbers."""
    return "; ".join(shape.format(*row) if isinstance(row, tuple) else shape.format(row) for row in rows)


#: Class -> shapes, separated by semicolons, each a letter for what it is, one for its colour (body, dark, white, extra)
#: and numbers; x goes from -1 to 1 to the right, y down. "o" is an oval (centre, radii), "r" a rectangle (two corners),
#: "p" a polygon, "l" a line (width, points), "a" an arc (width, centre, radii, from and to in degrees, clockwise).
GLYPHS = {
    # Instruments
    "bagpipe": "o b 0 .3 .55 .36; l d .1 -.1 0 -.4 -.95; l d .1 .1 0 .12 -.95; l d .1 .3 .1 .65 -.8; "
               "l d .08 -.3 .5 -.5 .98; l w .06 -.45 .15 -.9 -.2; l w .12 -.4 -.9 -.37 -.8; l w .12 .12 -.9 .11 -.8",
    "clarinet": "l d .15 0 -.8 0 .7; p d -.07 .6 .07 .6 .22 .98 -.22 .98; l w .08 0 -.98 0 -.78; "
                + _each("l w .05 -.1 {0} .1 {0}", -.5, -.25, 0, .25, .5),
    "flute": "l w .14 -.98 0 .98 0; o d -.7 -.01 .1 .06; " + _each("o e {} 0 .07 .1", -.15, .05, .25, .45, .65, .82),
    "drum": "r b -.7 -.15 .7 .6; o b 0 .6 .7 .22; l w .04 -.7 -.1 -.35 .7 0 0 .35 .7 .7 -.1; o w 0 -.15 .7 .22; "
            "l d .07 -.85 -.9 -.15 -.15; l d .07 .85 -.9 .15 -.15",
    "acoustic guitar": "o b 0 .6 .48 .36; o b 0 .1 .34 .28; o d 0 .32 .15 .15; r d -.06 -.75 .06 .2; "
                       "r e -.12 -1 .12 -.75; r d -.2 .68 .2 .75; " + _each("l w .015 {0} -.9 {0} .7", -.03, .03),
    "ukulele": "o b 0 .55 .36 .28; o b 0 .22 .26 .2; o d 0 .38 .11 .11; r d -.05 -.4 .05 .25; r e -.13 -.68 .13 -.4; "
               + _each("o w {} {} .06 .05", (-.18, -.47), (.18, -.47), (-.18, -.6), (.18, -.6)),
    "accordion": "r d -.5 -.5 .5 .55; " + _each("l w .06 {0} -.6 {0} .65", -.4, -.24, -.08, .08, .24, .4)
                 + "; p b -.98 -.5 -.5 -.55 -.5 .65 -.98 .7; p b .5 -.55 .98 -.5 .98 .7 .5 .65; "
                 + _each("r w .7 {} .95 {}", (-.4, -.28), (-.2, -.08), (0, .12), (.2, .32), (.4, .52))
                 + "; " + _each("o w {} {} .05 .05", (-.8, -.3), (-.65, -.1), (-.8, .1), (-.65, .3)),
    "bassoon": "l b .17 -.08 -.98 -.08 .95; l b .15 .12 -.35 .12 .95; l w .05 .12 -.35 .15 -.6 .45 -.65 .6 -.4; "
               "l w .1 -.18 -.95 .02 -.95; " + _each("o w {} {} .06 .05", (-.08, -.5), (.12, -.1), (-.08, .15), (.12, .4)),
    "guzheng": "p b -.98 -.2 .98 -.35 .98 .2 -.98 .35; l d .07 -.7 .3 -.8 .85; l d .07 .7 .2 .8 .8; "
               + _each("l w .015 -.95 {} .95 {}", (-.12, -.26), (-.04, -.17), (.04, -.08), (.12, .01), (.2, .1))
               + "; " + _each("p d {} {} {} {} {} {}", (-.5, -.12, -.44, -.24, -.38, -.12), (-.25, -.03, -.19, -.15, -.13, -.03),
                              (0, .06, .06, -.06, .12, .06), (.25, .12, .31, 0, .37, .12)),
    "xylophone": "l d .06 -.9 -.5 .9 -.2; l d .06 -.9 .5 .9 .2; "
                 + _each("r {4} {0} -{2} {1} {3}", (-.9, -.7, .7, .7, "b"), (-.65, -.45, .62, .62, "e"),
                         (-.4, -.2, .54, .54, "b"), (-.15, .05, .46, .46, "e"), (.1, .3, .38, .38, "b"),
                         (.35, .55, .3, .3, "e"), (.6, .8, .22, .22, "b"))
                 + "; l d .05 -.2 .95 .3 .1; o w .3 .1 .1 .1",
    "erhu": "l d .06 0 -.98 0 .6; p b -.28 .6 -.14 .42 .14 .42 .28 .6 .28 .8 .14 .95 -.14 .95 -.28 .8; "
            "l d .06 -.02 -.8 .25 -.8; l d .06 -.02 -.62 .25 -.62; l w .02 .08 -.75 .06 .55; l e .05 -.75 .25 .75 .5; "
            "l w .02 -.75 .3 .75 .56; o w 0 .68 .14 .14",
    "tuba": "a b .16 .05 .3 .5 .5 0 360; a b .13 .05 .3 .25 .28 0 360; l b .2 -.45 .3 -.42 -.3; "
            "p b -.95 -.95 .12 -.95 -.22 -.45 -.28 -.1 -.55 -.1 -.62 -.45; o d -.41 -.95 .5 .1; "
            + _each("l w .07 {0} -.1 {0} .3", .0, .14, .28) + "; l w .06 .5 .1 .75 -.3",
    "congas": "p b -.92 -.5 -.08 -.5 -.02 -.1 -.25 .9 -.72 .9 -.98 -.1; o w -.5 -.5 .42 .14; l d .06 -.98 -.1 -.02 -.1; "
              "p e .1 -.35 .88 -.35 .96 .05 .72 .98 .28 .98 .02 .05; o w .49 -.35 .39 .13; l d .06 .02 .05 .96 .05",
    "saxophone": "l d .09 -.95 -.8 -.75 -.9 -.4 -.85; l b .14 -.42 -.86 -.3 -.6; l b .22 -.3 -.65 -.15 .5; "
                 "a b .26 .15 .5 .3 .35 0 180; p b .3 .5 .58 .5 .95 -.25 .25 -.15; o d .6 -.2 .34 .1; "
                 + _each("o w {} {} .07 .07", (-.28, -.4), (-.24, -.1), (-.2, .2), (.05, .75)),
    "cello": "o b 0 .42 .46 .34; o b 0 -.02 .36 .27; r b -.2 0 .2 .4; r d -.06 -.85 .06 .1; o d 0 -.9 .1 .09; "
             "l d .06 0 .75 0 1; l w .05 -.22 .1 -.26 .35; l w .05 .22 .1 .26 .35; r d -.16 .3 .16 .36; l w .02 0 -.8 0 .6; "
             "l e .05 -.95 .05 .95 .3",
    "violin": "o b .5 0 .3 .34; o b .12 0 .24 .26; r b .15 -.15 .5 .15; r d -.6 -.05 .2 .05; o d -.68 0 .12 .09; "
              "o d .76 -.12 .1 .12; l w .04 .2 -.17 .4 -.2; l w .04 .2 .17 .4 .2; l w .02 -.6 0 .6 0; l e .05 .1 -.95 .45 .95; "
              "l w .02 .15 -.95 .5 .95",
    "electric bass": "p b -.3 .5 -.5 .2 -.3 .1 -.1 .35 .1 .35 .2 -.1 .42 .05 .32 .5 .45 .75 .25 .98 -.25 .98 -.45 .75; "
                     "r d -.06 -.8 .06 .5; p e -.08 -1 .16 -1 .1 -.78 -.08 -.78; r d -.2 .55 .2 .63; r d -.2 .72 .2 .8; "
                     + _each("o w .2 {} .06 .04", -.97, -.89, -.81) + "; l w .02 0 -.9 0 .85",
    "piano": "r b -.92 -.85 .92 .85; r d -.8 -.7 .8 -.15; r w -.92 .02 .92 .38; "
             + _each("r d {} .02 {} .24", *((x, x + .1) for x in (-.8, -.55, -.18, .07, .32, .68)))
             + "; " + _each("l d .015 {0} .02 {0} .38", *np.arange(-.62, .8, .25).round(2).tolist())
             + "; r d -.7 .5 .7 .85",
    "banjo": "o d 0 .5 .46 .46; o w 0 .5 .38 .38; r b -.055 -.75 .055 .3; r e -.12 -1 .12 -.75; l d .05 -.14 .6 .14 .6; "
             + _each("l d .015 {0} -.9 {0} .6", -.03, .03) + "; o e .14 -.3 .06 .05",
    "trumpet": "a b .09 0 .12 .45 .24 0 360; l b .1 -.9 -.12 .55 -.12; p b .45 -.16 .75 -.24 .98 -.5 .98 .26 .75 0 .45 -.08; "
               "o d .98 -.12 .07 .34; r w -1 -.18 -.86 -.06; " + _each("l w .11 {0} -.4 {0} .35", -.2, 0, .2),
    "pipa": "p b 0 -.6 .1 -.4 .3 .05 .46 .5 .36 .85 0 .98 -.36 .85 -.46 .5 -.3 .05 -.1 -.4; l d .11 0 -.98 0 -.4; "
            + _each("l e .05 -.3 {0} .3 {0}", -.9, -.76) + "; " + _each("l d .03 -.16 {0} .16 {0}", -.1, .05, .2, .35)
            + "; l d .07 -.2 .72 .2 .72; " + _each("l w .015 {0} -.7 {0} .7", -.04, .04),
    # Sounds that go on
    "rain falling": "o w -.35 -.45 .4 .28; o w .3 -.5 .45 .32; o w 0 -.35 .6 .24; "
                    + _each("l b .08 {} {} {} {}", *((x, y, round(x - .12, 2), round(y + .28, 2))
                                                    for y in (.05, .55) for x in (-.5, -.15, .2, .55))),
    "wind blowing": "l b .1 -.95 -.3 .4 -.3; a b .1 .4 -.52 .26 .22 -150 90; l b .1 -.8 .05 .7 .05; "
                    "a b .1 .7 .28 .24 .23 -90 150; l b .1 -.6 .4 .05 .4; a b .1 .05 .62 .24 .22 -90 150",
    "ocean waves": "; ".join(_each("p {3} {0} {2} {4} {2} {5} {6} {1} {2}", (x - .4, x + .4, y, c, x - .2, x + .3, y - .35))
                             for y, c, xs in ((.0, "b", (-.7, 0, .7)), (.4, "e", (-.35, .35)), (.85, "b", (-.7, 0, .7)))
                             for x in xs) + "; l w .06 -.95 .02 .95 .02; l w .06 -.8 .43 .8 .43; l w .06 -.95 .88 .95 .88",
    "stream flowing": "l b .5 .3 -.98 -.1 -.5 .25 0 -.15 .5 .2 .98; l w .05 .2 -.9 -.2 -.5 .15 0; l w .05 .3 .1 -.05 .5 .3 .9; "
                      + _each("o d {} {} .17 .12", (-.6, -.6), (.65, -.4), (-.5, .2), (.6, .5), (-.65, .8)),
    "fire crackling": "l d .16 -.8 .95 .8 .65; l d .16 -.8 .65 .8 .95; "
                      "p b -.6 .6 -.55 .1 -.3 -.2 -.25 -.55 .05 -.95 .1 -.5 .35 -.35 .4 0 .6 .2 .55 .6 .2 .75 -.3 .75; "
                      "p e -.3 .65 -.25 .25 0 -.2 .15 .15 .3 .35 .25 .65; p w -.1 .65 0 .3 .12 .65",
    "engine running": "r b -.7 -.1 .45 .7; r d -.6 -.4 -.35 -.1; r d -.25 -.4 0 -.1; r d .1 -.4 .35 -.1; r e -.65 -.6 .4 -.42; "
                      "o d .65 .35 .32 .32; o w .65 .35 .12 .12; l w .05 -.6 .15 .35 .15; l w .05 -.6 .4 .35 .4; "
                      "l d .12 -.7 .5 -.98 .5 -.98 -.3",
    "helicopter flying": "o b -.25 .2 .52 .38; p b .1 .02 .98 -.05 .98 .08 .1 .3; l d .07 .92 -.3 .92 .28; "
                         "l d .07 -.98 -.5 .6 -.5; l d .08 -.2 -.5 -.2 -.15; l d .06 -.75 .78 .35 .78; "
                         "l d .05 -.45 .5 -.5 .78; l d .05 .05 .5 .1 .78; o w -.45 .12 .22 .2",
    "crickets chirping": "o b .15 .2 .62 .2; o b -.55 .1 .24 .2; l d .07 .1 .2 .5 -.6 .85 .75; l d .05 -.1 .3 -.25 .8; "
                         "l d .05 -.4 .25 -.6 .8; l d .03 -.65 -.05 -.95 -.7; l d .03 -.6 -.05 -.6 -.8; o w -.62 .05 .06 .06; "
                         "l e .05 -.2 .1 .7 .2",
    "people clapping": "p b -.75 .95 -.8 .2 -.35 -.1 -.1 .1 -.3 .6 -.35 .95; l b .13 -.5 .1 -.2 -.65; l b .13 -.38 .1 -.02 -.6; "
                       "l b .13 -.25 .15 .1 -.4; p e .75 .95 .8 .2 .4 0 .1 .2 .3 .6 .35 .95; l e .13 .5 .15 .3 -.5; "
                       "l e .13 .38 .15 .2 -.3; " + _each("l w .06 {} {} {} {}", (-.5, -.7, -.7, -.95), (.1, -.75, .1, -1), (.5, -.7, .7, -.95)),
    "vacuum cleaner running": "o b .35 .5 .55 .36; o d .1 .8 .17 .17; o d .65 .8 .17 .17; l d .09 0 .35 -.2 -.3 -.45 -.65 -.5 -.9; "
                              "l w .08 -.5 -.9 -.7 .75; p e -.98 .98 -.4 .98 -.55 .72 -.85 .72; r w .3 .3 .6 .42",
    # Sounds that begin and end
    "siren wailing": "p b -.42 .45 -.36 -.15 -.2 -.38 .2 -.38 .36 -.15 .42 .45; r d -.65 .45 .65 .75; r w -.1 -.2 .05 .35; "
                     + _each("l e .09 {} {} {} {}", (0, -.55, 0, -.95), (-.4, -.45, -.65, -.8), (.4, -.45, .65, -.8),
                             (-.55, -.05, -.95, -.15), (.55, -.05, .95, -.15)),
    "alarm beeping": "r b -.7 -.25 -.35 .25; p b -.38 -.2 .05 -.7 .05 .7 -.38 .2; a e .1 .05 0 .3 .35 -60 60; "
                     "a e .1 .05 0 .58 .65 -60 60; a e .1 .05 0 .86 .95 -60 60; r d -.7 -.05 -.5 .05",
    "bell ringing": "o d 0 .68 .18 .18; p b -.2 -.7 .2 -.7 .38 -.4 .45 .2 .75 .55 -.75 .55 -.45 .2 -.38 -.4; "
                    "a d .09 0 -.8 .14 .14 0 360; l w .06 -.5 .35 .5 .35; l e .06 -.75 .55 .75 .55",
    "footsteps": "o b -.42 -.35 .24 .38; o d -.38 .25 .18 .2; o b .42 .05 .24 .38; o d .38 .65 .18 .2; "
                 "l w .04 -.55 -.45 -.3 -.45; l w .04 -.55 -.3 -.3 -.3; l w .04 .3 -.05 .55 -.05; l w .04 .3 .1 .55 .1",
    "dog barking": "o b 0 0 .55 .58; o d -.58 .1 .2 .5; o d .58 .1 .2 .5; o w 0 .32 .34 .28; o d 0 .15 .14 .1; "
                   "o d -.2 -.18 .08 .08; o d .2 -.18 .08 .08; o e 0 .58 .12 .2",
    "birds chirping": "o b 0 .1 .5 .32; o b .45 -.2 .26 .24; p e .66 -.3 .98 -.18 .66 -.06; p b -.35 0 -.98 -.3 -.9 .15 -.4 .25; "
                      "p d -.3 0 .2 .05 -.35 .55; o w .52 -.25 .07 .07; l d .04 0 .4 0 .7; l d .04 .15 .4 .15 .7; l d .1 -.95 .75 .95 .7",
    "clock ticking": "o b 0 0 .9 .9; o w 0 0 .74 .74; l d .08 0 0 0 -.58; l d .08 0 0 .38 .2; o d 0 0 .08 .08; "
                     + _each("o d {} {} .06 .06", (0, -.66), (.66, 0), (0, .66), (-.66, 0), (.47, .47), (-.47, .47), (.47, -.47), (-.47, -.47)),
    "water dripping": "l w .24 -.95 -.45 .25 -.45 .35 -.1; r b -.6 -.62 -.2 -.28; r e -.6 -.95 -.2 -.82; l w .1 -.4 -.85 -.4 -.6; "
                      + _each("o b .36 {} .12 .14; p b .25 {} .36 {} .47 {}", (.25, .22, 0, .22), (.8, .77, .5, .77)),
    "glass breaking": "p w -.5 -.95 .5 -.95 .38 -.25 .1 0 -.1 0 -.38 -.25; l w .08 0 0 0 .75; o w 0 .8 .42 .12; "
                      "p b -.42 -.6 .42 -.6 .36 -.25 .1 -.02 -.1 -.02 -.36 -.25; l d .06 -.3 -.95 -.05 -.55 -.2 -.3 .15 0; "
                      "l d .06 -.05 -.55 .35 -.75; p w .65 .1 .95 -.1 .85 .3; p w -.9 .3 -.6 .15 -.65 .5; p w .55 .5 .8 .45 .75 .75",
    "knocking on a door": "r b -.65 -.98 .45 .98; r d -.5 -.82 .3 -.1; r d -.5 .1 .3 .82; o w .33 0 .07 .07; "
                          "o e .72 -.3 .24 .2; l e .2 .8 -.2 .98 .4; l w .05 .35 -.65 .2 -.8; l w .05 .25 -.45 .05 -.5",
    "telephone ringing": "p b -.8 .8 .8 .8 .5 -.1 -.5 -.1; o w 0 .38 .3 .28; o d 0 .38 .12 .12; l d .22 -.85 -.2 -.7 -.5 .7 -.5 .85 -.2; "
                         "l e .06 -.5 -.75 -.65 -.98; l e .06 .5 -.75 .65 -.98",
    "car horn honking": "p b -.98 .35 -.95 0 -.5 -.08 -.25 -.5 .4 -.5 .65 -.05 .95 .05 .98 .35; o d -.5 .4 .22 .22; o d .55 .4 .22 .22; "
                        "p w -.35 -.08 -.17 -.4 .05 -.4 .05 -.08; p w .13 -.08 .13 -.4 .34 -.4 .5 -.08; o e -.9 .1 .1 .08; "
                        "l e .05 -.75 -.3 -.98 -.5; l e .05 -.6 -.4 -.7 -.7",
    "person whistling": "o b -.15 .1 .65 .78; o d -.4 -.1 .08 .1; o d .05 -.1 .08 .1; o d -.15 .5 .13 .14; p d -.8 -.1 -.6 -.75 .3 -.75 .5 -.1 .1 -.5 -.4 -.5; "
                        "o e .65 .1 .13 .1; l e .05 .77 .1 .77 -.4 .95 -.25",
    "thunder rumbling": "o d -.35 -.45 .42 .3; o d .3 -.5 .48 .35; o d 0 -.3 .65 .25; "
                        "p e .05 -.25 -.3 .35 0 .3 -.2 .98 .4 .12 .1 .15 .3 -.25",
    "frog croaking": "o b 0 .3 .8 .5; o b -.42 -.3 .27 .27; o b .42 -.3 .27 .27; o w -.42 -.32 .17 .17; o w .42 -.32 .17 .17; "
                     "o d -.42 -.3 .08 .08; o d .42 -.3 .08 .08; l d .07 -.6 .25 -.25 .42 .25 .42 .6 .25; o e 0 .62 .4 .2",
    "typing on a keyboard": "r b -.98 -.5 .98 .5; "
                            + _each("r w {} {} {} {}", *((round(x, 2), y, round(x + .2, 2), y + .2) for y in (-.4, -.12)
                                                        for x in np.arange(-.88, .7, .26)))
                            + "; r w -.88 .16 -.62 .36; r w -.5 .16 .5 .36; r w .62 .16 .88 .36",
    "cat meowing": "p b -.62 .1 -.6 -.85 -.1 -.35; p b .62 .1 .6 -.85 .1 -.35; o b 0 .15 .64 .54; o e -.25 0 .11 .14; o e .25 0 .11 .14; "
                   "o d -.25 0 .04 .13; o d .25 0 .04 .13; p d -.09 .22 .09 .22 0 .34; o d 0 .5 .12 .1; "
                   + _each("l w .03 {} {} {} {}", (.15, .35, .95, .2), (.15, .42, .95, .5), (-.15, .35, -.95, .2), (-.15, .42, -.95, .5)),
    "cow mooing": "l w .13 -.3 -.4 -.7 -.6 -.72 -.95; l w .13 .3 -.4 .7 -.6 .72 -.95; o b -.68 -.25 .26 .13; o b .68 -.25 .26 .13; "
                  "o b 0 -.05 .46 .55; p d -.4 -.3 -.1 -.5 0 -.1 -.3 .1; o w 0 .6 .42 .3; o d -.16 .55 .07 .09; o d .16 .55 .07 .09; "
                  "o d .2 -.15 .08 .09; l d .06 -.2 .75 .2 .75",
    "hen clucking": "o b -.1 .2 .58 .42; o b .42 -.35 .24 .32; p b -.5 .2 -.95 -.55 -.6 -.45 -.25 0; p e .62 -.4 .9 -.28 .6 -.2; "
                    "o e .35 -.72 .1 .13; o e .5 -.7 .1 .13; o e .58 -.08 .08 .14; o w .5 -.42 .06 .06; p d -.4 .1 .2 .1 -.1 .45; "
                    "l e .06 -.2 .6 -.2 .95 0 .95; l e .06 .05 .6 .05 .9 .25 .9",
    "person laughing": "o b 0 .05 .72 .8; a d .07 -.3 -.1 .16 .14 180 360; a d .07 .3 -.1 .16 .14 180 360; "
                       "p d -.42 .25 .42 .25 .3 .6 0 .72 -.3 .6; r w -.32 .25 .32 .36; p e -.74 -.1 -.6 -.7 0 -.95 .6 -.7 .74 -.1 .4 -.45 -.4 -.45",
}


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
    for shape in glyph.split("; "):
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
