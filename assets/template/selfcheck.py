"""Exercise NN-A: TODO what it asks for. What each field means is said in chapters/selfcheck/__init__.py."""
import numpy as np

from selfcheck import Exercise, Misconception

# --- NN-A -----------------------------------------------------------------------------------------------------------


# TODO: the reference solution. This one centres the rows of x and scales them.
def TODO_function(x, scale=1.0):
    return scale * (x - x.mean(-1, keepdims=True))


# TODO: inputs, the smallest first. Each mistake below has to be wrong on one of them.
def probes(rng):
    return {
        "one row [1, 2, 3]": (np.array([1.0, 2, 3]),),
        "4 rows (4, 8), scale 2": (1 + rng.standard_normal((4, 8)), 2.0),
    }


TODO_EXERCISE = Exercise(
    TODO_function,
    probes,
    [
        # TODO: one for each wrong idea that learners have, with every way in which they write it.
        Misconception(
            "scale-ignored",
            "TODO: what the answer does, why that is wrong, and where to look.",
            [lambda x, scale=1.0: x - x.mean(-1, keepdims=True)],
        ),
    ],
    [
        "TODO: a first hint, a question that leads to the idea.",
        "TODO: a last hint, that leaves only the writing.",
    ],
)

EXERCISES = [TODO_EXERCISE]
