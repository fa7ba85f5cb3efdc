"""Texts as sequences of tokens: characters, words, byte pairs; from data to the model file and ONNX."""

import io
import json
import string
from collections import Counter
from heapq import heappush
from itertools import pairwise

import numpy as np
import onnx
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from raydient.client import LocalModel
from raydient.spec.dataset import Dataset as DatasetSpec
from raydient.spec.network import Network
from raydient.spec.text import Text
from raydient.workers.network import Model, Preprocessing, Target, Tokens, build, byte_pairs, load_model, save_model
from raydient.workers.network.byte_pairs import learn_pairs, merged, symbols_of
from raydient.workers.network.onnx_export import write_onnx

REVIEWS = 'text,y\n"Good, very good!",1\nbad,0\nVery bad,0\n,1\n'
WORDS = {"columns": "text", "text": {"tokens": "word", "length": 5}}
SENNRICH = {"low": 5, "lowest": 2, "newer": 6, "wider": 3}
"""The example of the paper, section 3.2 and its footnote."""


def fitted(texts, **settings):
    return Tokens.fit(texts, Text.model_validate({"length": 8, **settings}))


def test_words_have_numbers_by_their_frequency(load_file):
    data = load_file(REVIEWS, inputs={"text": WORDS})
    tokens = data.inputs["text"].tokens
    assert tokens.vocabulary == ("bad", "!", ",", "Good", "Very", "good", "very")
    assert data.train.x.tolist() == [[5, 4, 8, 7, 3], [2, 0, 0, 0, 0], [6, 2, 0, 0, 0], [0] * 5]
    lower = load_file(REVIEWS, inputs={"text": {**WORDS, "text": {**WORDS["text"], "lowercase": True, "length": 2}}})
    assert lower.inputs["text"].tokens.vocabulary == ("bad", "good", "very", "!", ",")
    assert lower.train.x.tolist() == [[3, 6], [2, 0], [4, 2], [0, 0]]


def test_only_the_training_part_has_tokens(load_file):
    file = "text,part,y\n" + "b a,train,0\n" * 3 + "c a,test,1\n"
    split = {"method": {"column": {"name": "part"}}}
    data = load_file(file, inputs={"text": WORDS}, split=split)
    assert data.inputs["text"].tokens.vocabulary == ("a", "b")
    assert data.test.x.tolist() == [[1, 2, 0, 0, 0]]


def test_a_vocabulary_is_bounded_or_named(load_file):
    most = load_file(REVIEWS, inputs={"text": {**WORDS, "text": {**WORDS["text"], "vocabulary_size": 4}}})
    assert most.inputs["text"].tokens.vocabulary == ("bad", "!")
    assert most.train.x[0].tolist() == [1, 1, 1, 1, 3]
    named = {**WORDS["text"], "vocabulary": ["good", "bad"]}
    assert load_file(REVIEWS, inputs={"text": {**WORDS, "text": named}}).train.x[2].tolist() == [1, 3, 0, 0, 0]


def test_characters(load_file):
    settings = {"columns": "text", "text": {"tokens": "character", "length": 3, "lowercase": True}}
    data = load_file("text,y\nabba,1\nb c,0\n", inputs={"text": settings})
    assert data.inputs["text"].tokens.vocabulary == ("b", "a", " ", "c")
    assert data.train.x.tolist() == [[3, 2, 2], [2, 4, 5]]
    one_hot = load_file("text,y\nabba,1\nb c,0\n", inputs={"text": {**settings, "one_hot": True}})
    assert one_hot.train.x.shape == (2, 3, 6)
    assert one_hot.train.x.argmax(axis=2).tolist() == data.train.x.tolist()


def test_the_merges_of_the_paper():
    vocabulary, merges = learn_pairs(SENNRICH, 100)
    # `er` and the end of the word occur 9 times; the paper's order of ties is not given
    assert merges[:2] == (("e", "r "), ("l", "o"))
    assert ("lo", "w ") in merges
    assert vocabulary[0] == "e"
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    assert merged(symbols_of("lower"), ranks) == ["low", "er "]
    assert "".join(merged(symbols_of("unknown"), ranks)) == "unknown "


def naive_merged(symbols, ranks):
    """The merges of a word without any short cut."""
    while learnt := [pair for pair in pairwise(symbols) if pair in ranks]:
        pair, parts = min(learnt, key=ranks.__getitem__), []
        while symbols:
            size = 2 if tuple(symbols[:2]) == pair else 1
            parts, symbols = [*parts, "".join(symbols[:size])], symbols[size:]
        symbols = parts
    return symbols


def naive_pairs(words, most):
    """The algorithm of the paper without any short cut."""
    symbols = {word: symbols_of(word) for word in words}
    characters = Counter()
    for word, count in words.items():
        for one in symbols[word]:
            characters[one] += count
    vocabulary = sorted(characters, key=lambda one: (-characters[one], one))[:most]
    merges = []
    while len(vocabulary) < most:
        counts = Counter()
        for word, count in words.items():
            for pair in pairwise(symbols[word]):
                counts[pair] += count
        best = min(counts, key=lambda pair: (-counts[pair], pair), default=None)
        if best is None or counts[best] < 2:
            break
        for word in words:
            symbols[word] = naive_merged(symbols[word], {best: 0})
        merges += [best] * (best not in merges)
        vocabulary += ["".join(best)] * ("".join(best) not in vocabulary)
    return tuple(vocabulary), tuple(merges)


@given(st.dictionaries(st.text("abc", min_size=1, max_size=9), st.integers(1, 5), max_size=8), st.integers(6, 30))
def test_byte_pairs_are_those_of_a_naive_twin(words, most):
    assert learn_pairs(words, most) == naive_pairs(words, most)


@given(
    st.dictionaries(st.text("ab", min_size=1, max_size=8), st.integers(1, 3), min_size=1, max_size=3),
    st.text("ab", min_size=1, max_size=20),
    st.randoms(use_true_random=False),
)
def test_the_merges_of_a_word_are_those_of_a_naive_twin(words, word, random):
    _, merges = learn_pairs(words, 12)
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    assert merged(symbols_of(word), ranks) == naive_merged(symbols_of(word), ranks)
    shuffled = dict(zip(ranks, random.sample(range(len(ranks)), len(ranks)), strict=True))
    assert merged(symbols_of(word), shuffled) == naive_merged(symbols_of(word), shuffled)


def test_a_text_without_spaces_takes_few_steps_for_each_character(monkeypatch):
    calls = Counter()
    merge = byte_pairs._Chain.merge

    def counted(chain, place):
        calls["merge"] += 1
        return merge(chain, place)

    monkeypatch.setattr(byte_pairs._Chain, "merge", counted)
    monkeypatch.setattr(byte_pairs, "heappush", lambda heap, entry: calls.update(["push"]) or heappush(heap, entry))
    text = "ab" * 500 + "abc" * 500
    _, merges = learn_pairs({text: 1}, 60)
    merged(symbols_of(text), {pair: rank for rank, pair in enumerate(merges)})
    assert 0 < calls["merge"] <= 2 * len(text)
    assert calls["push"] <= 4 * len(text)


def test_byte_pairs_of_texts(load_file):
    rows = [f"{word} {word}" for word, count in SENNRICH.items() for _ in range(count)]
    file = "text,y\n" + "".join(f"{row},{number % 2}\n" for number, row in enumerate(rows))
    settings = {"tokens": "byte_pair", "length": 6, "vocabulary_size": 24}
    data = load_file(file, inputs={"text": {"columns": "text", "text": settings}})
    tokens = data.inputs["text"].tokens
    assert tokens.count <= 24
    assert tokens.merges[0] == ("e", "r ")
    cut = ["".join([*("", "?"), *tokens.vocabulary][int(number)] for number in row) for row in data.train.x]
    assert all(f"{row} ".startswith(text) for row, text in zip(rows, cut, strict=True))
    few = fitted(["ab ab cd"] * 3, tokens="byte_pair", vocabulary_size=4)
    assert (few.vocabulary, few.merges) == (("a", "b "), ())
    assert few.numbers(["ab cab"]).tolist() == [[2, 3, 1, 2, 3, 0, 0, 0]]


@pytest.mark.parametrize("missing", ["", "NA", "nan"])
def test_a_missing_text_is_padding(missing):
    assert fitted(["NA a"], tokens="word").numbers([missing, "a"]).tolist() == [[0] * 8, [3] + [0] * 7]


def test_every_format_gives_the_same_numbers(load_file):
    texts = ["x y", "y", "é " * 3000, "3"]  # longer than a category may be
    csv_file = "text,y\n" + "".join(f"{text},{row % 2}\n" for row, text in enumerate(texts))
    expected = load_file(csv_file, inputs={"text": WORDS})
    file = io.BytesIO()
    pq.write_table(pa.table({"text": pa.array(texts).dictionary_encode(), "y": [0, 1, 0, 1]}), file)
    arrays = {"text": np.array(texts), "y": np.array([0, 1, 0, 1])}
    for content, name in ((file.getvalue(), "data.parquet"), (arrays, None)):
        data = load_file(content, name=name, inputs={"text": WORDS})
        assert data.inputs["text"].tokens == expected.inputs["text"].tokens
        np.testing.assert_array_equal(data.train.x, expected.train.x)


def model_of(tokens, **options):
    """A model that counts in which rows of a table tokens are."""
    preprocessing = Preprocessing((1,), ("text",), True, tokens=tokens, **options)
    layers = [{"dense": {"units": 2}}, "flatten", {"dense": {"units": 2}}]
    if not options:
        embedding = {"input_dim": tokens.count, "output_dim": 3, "mask_padding": True}
        layers = [{"embedding": embedding}, "global_average_pooling1d", {"dense": {"units": 2}}]
    network = Network.model_validate({"layers": layers, "loss": "softmax_cross_entropy"})
    size = build(network, preprocessing.prepared_shape).layout.size
    weights = np.random.default_rng(3).normal(0, 0.3, size).astype(np.float32)
    return Model.plain(network, preprocessing, weights, Target("y", ("no", "yes")))


TEXTS = ["low lower lowest", "new wider", "", "?"]


@pytest.mark.parametrize("kind", ["character", "word", "byte_pair"])
@pytest.mark.parametrize("options", [{}, {"one_hot": True}])
def test_model_file_and_onnx_compute_the_same(tmp_path, kind, options):
    tokens = fitted([f"{word} " * count for word, count in SENNRICH.items()], tokens=kind, vocabulary_size=20)
    model = model_of(tokens, **options)
    expected = model.predict(np.array(TEXTS, object)[:, np.newaxis])
    assert len(np.unique(expected[:3, 0])) == 3
    save_model(tmp_path / "m.safetensors", model)
    loaded = load_model(tmp_path / "m.safetensors")
    assert loaded.input.tokens == tokens
    (tmp_path / "data.csv").write_text("text\n" + "\n".join(text or '""' for text in TEXTS) + "\n")
    for samples in ({"text": TEXTS}, {"text": [text or None for text in TEXTS]}, tmp_path / "data.csv"):
        np.testing.assert_array_equal(LocalModel(loaded).predict(samples).outputs, expected)
    file = io.BytesIO()
    write_onnx(model, file)
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    numbers = tokens.numbers(TEXTS).astype(np.int64)
    np.testing.assert_allclose(session.run(None, {"input": numbers})[0], expected, rtol=1e-5)
    properties = {entry.key: entry.value for entry in onnx.load_from_string(file.getvalue()).metadata_props}
    kept = json.loads(properties["tokens"])["input"]
    assert (kept["kind"], kept["length"], kept["lowercase"]) == (kind, 8, False)
    assert tuple(kept["vocabulary"]) == tokens.vocabulary
    assert [tuple(pair) for pair in kept["merges"]] == list(tokens.merges)


@given(st.text(string.ascii_lowercase[:4] + " ,", max_size=30))
def test_numbers_are_below_the_count(text):
    for kind in ("character", "word", "byte_pair"):
        tokens = fitted(["abc ab a, ba"], tokens=kind)
        numbers = tokens.numbers([text])
        assert numbers.max() < tokens.count


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"categories": True}, "a text has no categories: leave `categories` out"),
        ({"hashing": {"buckets": 5}}, "a text has no categories: leave `hashing` out"),
        ({"columns": ["a", "b"]}, "a text is one column, not 2: give each an input of its own"),
        (
            {"text": {"tokens": "byte_pair", "length": 1, "vocabulary": ["a"]}},
            "byte pairs are learnt from the training",
        ),
        ({"text": {"tokens": "word", "length": 1, "vocabulary": ["a b"]}}, '"a b" is not one word'),
        ({"text": {"tokens": "character", "length": 1, "vocabulary": ["a", "a"]}}, '"a" is named twice'),
        (
            {"text": {"tokens": "word", "length": 1, "vocabulary": ["a", "Cat"], "lowercase": True}},
            '"Cat" of the vocabulary never occurs in lower case: write "cat"',
        ),
    ],
)
def test_settings_that_mean_nothing(settings, message):
    with pytest.raises(ValidationError) as caught:
        DatasetSpec.model_validate({"uri": "a.csv", "inputs": {"a": {**WORDS, "columns": "a", **settings}}})
    assert message in str(caught.value)


def test_texts_that_are_no_texts(errors_of):
    arrays = {"text": np.array([["a", "b"], ["c", "d"]]), "y": np.array([0, 1])}
    ((path, message),) = errors_of(arrays, inputs={"text": WORDS})
    assert (path, message) == ("dataset.inputs.text.text", "a sample has shape (2,), but a text is one value")
    ((path, message),) = errors_of(f"text,y\n{'x' * 70_000},0\nb,1\n", inputs={"text": WORDS})
    assert message.endswith("in row 1 (line 2) is longer than 65536 bytes")
    ((path, message),) = errors_of("text,y\n,0\n,1\n", inputs={"text": WORDS})
    assert (path, message) == ("dataset.inputs.text.text", "the training part has no token, all texts are empty")
