"""Answers to the exercise of question NN, written as learners write them.

RIGHT: {exercise: functions that must pass}. WRONG: {exercise: [(function, name of its misconception or property, or
None where no name fits)]}. EQUIVALENT: {exercise: {mutated line of the reference: why it computes the same}}.
"""


# TODO: right answers in different styles.
def one_expression(x, scale=1.0):
    return x * scale - (x * scale).mean(axis=-1)[..., None]


# TODO: wrong answers: some that a misconception explains, and one at least that none does.
def scale_forgotten(x, scale=1.0):
    centred = x.T - x.mean(axis=-1)
    return centred.T


def not_centred(x, scale=1.0):
    return scale * x


RIGHT = {"TODO_function": [one_expression]}
WRONG = {"TODO_function": [(scale_forgotten, "scale-ignored"), (not_centred, None)]}
EQUIVALENT = {}
