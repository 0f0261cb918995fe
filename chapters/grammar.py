"""A tiny English with 40 words, made so that the best possible loss on it is known exactly.

A text is a stream of independent sentences:

    sentence    = noun phrase, verb, "."             subject and verb agree in number
    noun phrase = determiner, [adjective,] noun      the subject may add: preposition, noun phrase
    verb        = intransitive | transitive, noun phrase

"every old cat behind the birds sees a dog ." The verb agrees with the subject, not with the noun
beside it, so the last word alone does not say what may come next.
"""

import numpy as np

# One list for the singular, one for the plural.
DETERMINERS = ("the", "a", "every"), ("the", "some", "all")
NOUNS = ("cat", "dog", "bird", "child", "robot", "poet"), ("cats", "dogs", "birds", "children", "robots", "poets")
INTRANSITIVE = ("sleeps", "runs", "sings", "waits"), ("sleep", "run", "sing", "wait")
TRANSITIVE = ("sees", "likes", "helps", "calls"), ("see", "like", "help", "call")
ADJECTIVES = "red", "old", "tiny", "happy"
PREPOSITIONS = "near", "behind"
P_ADJECTIVE, P_PREPOSITION, P_TRANSITIVE = 0.3, 0.25, 0.6

VOCAB = sorted({".", *ADJECTIVES, *PREPOSITIONS}.union(*DETERMINERS, *NOUNS, *INTRANSITIVE, *TRANSITIVE))
ID = {word: i for i, word in enumerate(VOCAB)}


def sentence(random):
    """One sentence as a list of words. random() draws from [0, 1)."""

    def pick(words):
        return words[int(random() * len(words))]

    def noun_phrase(number):
        adjective = [pick(ADJECTIVES)] if random() < P_ADJECTIVE else []
        return [pick(DETERMINERS[number]), *adjective, pick(NOUNS[number])]

    number = pick((0, 1))
    words = noun_phrase(number)
    if random() < P_PREPOSITION:
        words += [pick(PREPOSITIONS), *noun_phrase(pick((0, 1)))]
    if random() < P_TRANSITIVE:
        words += [pick(TRANSITIVE[number]), *noun_phrase(pick((0, 1)))]
    else:
        words += [pick(INTRANSITIVE[number])]
    return [*words, "."]


def is_sentence(words):
    """Whether a list of words, without the full stop, is one sentence of this grammar."""

    def noun_phrase(words):
        """The number of the noun phrase that words begin with, None if there is none; and the words after it."""
        determiner, *rest = words or [""]
        rest = rest[1:] if rest and rest[0] in ADJECTIVES else rest
        for number in (0, 1):
            if determiner in DETERMINERS[number] and rest and rest[0] in NOUNS[number]:
                return number, rest[1:]
        return None, words

    number, rest = noun_phrase(words)
    if rest and rest[0] in PREPOSITIONS:
        beside, rest = noun_phrase(rest[1:])
        if beside is None:
            return False
    if number is None or not rest:
        return False
    verb, *rest = rest
    if verb in TRANSITIVE[number]:
        what, rest = noun_phrase(rest)
        return what is not None and not rest
    return verb in INTRANSITIVE[number] and not rest


def stream(seed, n):
    """The first n tokens of a text, (n,) int64: the same on every platform."""
    random, words = np.random.default_rng(seed).random, []
    while len(words) < n:
        words += sentence(random)
    return np.array([ID[word] for word in words[:n]], np.int64)


def windows(rng, tokens, count, length):
    """Pieces (count, length) cut from tokens (n,) at random places."""
    starts = rng.integers(0, len(tokens) - length + 1, (count, 1))
    return tokens[starts + np.arange(length)]


def text(tokens):
    """Token ids (n,) as words."""
    return " ".join(VOCAB[i] for i in tokens)


def entropy_rate():
    """The entropy rate of the text in nats per token (Shannon 1948): no model's expected loss is lower.

    A sentence shows every choice that made it, and the choices are independent. So its entropy is the
    sum of theirs: ln n for one of n words, -p ln p - (1-p) ln(1-p) for a part that comes with
    probability p, plus p times what that part adds. Sentences are independent and end in ".", so the
    rate is the entropy of a sentence over its expected number of words.
    """

    def one_of(n):
        return np.array([np.log(n), 1.0])  # [nats, words]

    def maybe(p, part):
        return p * part - [p * np.log(p) + (1 - p) * np.log(1 - p), 0]

    number = np.array([np.log(2), 0.0])
    noun_phrase = number + one_of(3) + maybe(P_ADJECTIVE, one_of(4)) + one_of(6)
    subject = noun_phrase + maybe(P_PREPOSITION, one_of(2) + noun_phrase)
    verb = one_of(4) + maybe(P_TRANSITIVE, noun_phrase)  # four verbs of either kind
    nats, words = subject + verb + one_of(1)  # the full stop
    return nats / words
