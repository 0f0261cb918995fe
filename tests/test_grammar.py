"""The tiny English of chapters/grammar.py: its sentences, its entropy rate, the same tokens everywhere."""
import zlib
from collections import Counter
from math import log

import numpy as np

import grammar

TEXT = grammar.stream(0, 300_000)
WORDS = grammar.text(TEXT).split()
SENTENCES = [sentence.split() for sentence in " ".join(WORDS).split(" . ")][:-1]  # the last one is cut off


def noun_phrase(words):
    """Number of the noun phrase that words begin with, and the words after it."""
    determiner, *rest = words
    rest = rest[1:] if rest[0] in grammar.ADJECTIVES else rest
    number = int(rest[0] in grammar.NOUNS[1])
    assert rest[0] in grammar.NOUNS[number] and determiner in grammar.DETERMINERS[number], words
    return number, rest[1:]


def test_every_sentence_is_grammatical():
    for words in SENTENCES:
        number, rest = noun_phrase(words)
        if rest[0] in grammar.PREPOSITIONS:
            _, rest = noun_phrase(rest[1:])
        if rest[0] in grammar.TRANSITIVE[number]:
            assert noun_phrase(rest[1:])[1] == [], words
        else:
            assert rest[0] in grammar.INTRANSITIVE[number] and len(rest) == 1, words


def test_is_sentence_accepts_what_the_grammar_makes():
    assert all(grammar.is_sentence(words) for words in SENTENCES)


def test_is_sentence_rejects_everything_else():
    wrong = """the | cat | cat sleeps | the cat | the cat sleep | the cats sleeps | the old | old the cat sleeps
        a cats sleep | some cat sleeps | the red old cat sleeps | the cat near sleeps | the cat near the dogs
        the cat near the dogs sing | near the dogs sings | the cat near the dogs behind a bird sings
        the cat sleeps runs | the cat sleeps the dog | the cat sees | the cat sees dog | the cat see the dog
        the cat sees the dog near a bird | the cat sees a dog sleeps | the cat sleeps . | the cat sees the cat the
        the fish sleeps | the cat loves a dog""".replace("\n", " | ")
    for words in ["", *wrong.split(" | ")]:
        assert not grammar.is_sentence(words.split()), words
    for words in SENTENCES[:200]:  # every word is needed, but for adjectives
        for i, word in enumerate(words):
            if word not in grammar.ADJECTIVES:
                assert not grammar.is_sentence(words[:i] + words[i + 1:]), (words, word)


def test_entropy_rate_of_a_long_text():
    count = Counter({kind: sum(word in kinds for sentence in SENTENCES for word in sentence) for kind, kinds in {
        "noun": sum(grammar.NOUNS, ()), "adjective": grammar.ADJECTIVES, "preposition": grammar.PREPOSITIONS,
        "transitive": sum(grammar.TRANSITIVE, ())}.items()})
    nouns, sentences = count["noun"], len(SENTENCES)
    choices = [  # (times made, its probability), as the grammar's docstring has them
        (nouns, 1 / 2 * 1 / 3 * 1 / 6), (sentences, 1 / 4),
        (count["adjective"], 0.3 / 4), (nouns - count["adjective"], 0.7),
        (count["preposition"], 0.25 / 2), (sentences - count["preposition"], 0.75),
        (count["transitive"], 0.6), (sentences - count["transitive"], 0.4)]
    nats = -sum(times * log(p) for times, p in choices)
    assert abs(nats / sum(len(sentence) + 1 for sentence in SENTENCES) - grammar.entropy_rate()) < 0.002


def test_every_word_and_part_occurs_as_often_as_it_should():
    often = Counter(WORDS)
    assert len(often) == len(grammar.VOCAB) == 40
    for words in (*grammar.NOUNS, *grammar.TRANSITIVE, *grammar.INTRANSITIVE, grammar.ADJECTIVES, grammar.PREPOSITIONS):
        shares = [often[word] / sum(often[other] for other in words) for word in words]
        assert max(abs(share - 1 / len(words)) for share in shares) < 0.02, words


def test_the_same_tokens_everywhere():
    assert grammar.text(grammar.stream(0, 12)) == "the red robots sing . all cats help a dog . every"
    assert TEXT.dtype == np.int64 and (TEXT[:5000] == grammar.stream(0, 5000)).all()
    assert zlib.crc32(TEXT.astype("<i8").tobytes()) == 3350080708


def test_windows_are_pieces_of_the_text():
    tokens = np.arange(10)
    pieces = grammar.windows(np.random.default_rng(0), tokens, 200, 4)
    assert pieces.shape == (200, 4) and (np.diff(pieces) == 1).all() and set(pieces[:, 0]) == set(range(7))
    assert (grammar.windows(np.random.default_rng(0), tokens, 3, 10) == tokens).all()
