"""Exercises 35-A and 35-B: a SwiGLU feed-forward layer, and a fact written into a ReLU one by hand."""
from math import erf

import numpy as np

from selfcheck import Exercise, Misconception, Property

# --- 35-A -----------------------------------------------------------------------------------------------------------


def swiglu_ffn(x, Wg, Wu, Wd):
    gate = x @ Wg  # (T, f)
    return (gate / (1 + np.exp(-gate)) * (x @ Wu)) @ Wd


def swiglu_ffn_probes(rng):
    def layer(T, d, f):
        return rng.standard_normal((T, d)), *(2 * rng.standard_normal((d, f)) / d**0.5 for _ in "gu"), \
            rng.standard_normal((f, d))

    one, two, minus = (np.array([[float(v)]]) for v in (1, 2, -1))
    return {
        "one number: x 1, Wg 2, Wu -1, Wd 1": (one, two, minus, one),
        "one number, a negative gate: x 1, Wg -1, Wu 2, Wd 1": (one, minus, two, one),
        "one token (1, 4), hidden width 6": layer(1, 4, 6),
        "5 tokens (5, 8), hidden width 12": layer(5, 8, 12),
        "as many tokens as features and hidden units (6, 6)": layer(6, 6, 6),
        "a hidden width below the features: 7 tokens (7, 8), hidden width 3": layer(7, 8, 3),
        "float32 (5, 8)": tuple(a.astype(np.float32) for a in layer(5, 8, 12)),
    }


def sigmoid(u):
    return 1 / (1 + np.exp(-u))


def silu(u):
    return u * sigmoid(u)


def relu(u):
    return np.maximum(u, 0)


def gelu(u):
    return u * (1 + np.vectorize(erf, otypes=[float])(u / 2**0.5)) / 2


def gelu_tanh(u):
    return u * (1 + np.tanh((2 / np.pi) ** 0.5 * (u + 0.044715 * u**3))) / 2


def softmax(u, axis):
    e = np.exp(u - u.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def hidden(combine):
    """A layer whose hidden units are combine(gate, up), both before any activation: (T, f), (T, f) -> (T, f)."""
    return lambda x, Wg, Wu, Wd: combine(x @ Wg, x @ Wu) @ Wd


def gated_by(activation):
    return hidden(lambda g, u: activation(g) * u)


def mixed(average):
    """A layer that mixes its tokens with average (T, f) -> (T, f), before the activation or after it."""
    return [gated_by(lambda g: silu(average(g))), gated_by(lambda g: average(silu(g))),
            hidden(lambda g, u: average(silu(g) * u))]


def running_mean(h):
    return np.cumsum(h, 0) / np.arange(1, len(h) + 1)[:, None]


def standardised(h, axis=0):
    return (h - h.mean(axis, keepdims=True)) / np.sqrt(h.var(axis, keepdims=True) + 1e-5)


def commutes_with_reversal(fn):
    rng = np.random.default_rng(1)
    x, Wg, Wu, Wd = (rng.standard_normal(shape) for shape in ((5, 4), (4, 6), (4, 6), (6, 4)))
    y = fn(x, Wg, Wu, Wd)
    one_by_one = np.concatenate([fn(x[t : t + 1], Wg, Wu, Wd) for t in range(5)])
    return np.allclose(fn(x[::-1].copy(), Wg, Wu, Wd)[::-1], y, rtol=1e-4) and np.allclose(one_by_one, y, rtol=1e-4)


SWIGLU_FFN = Exercise(
    swiglu_ffn,
    swiglu_ffn_probes,
    [
        Misconception(
            "activation-on-up-branch",
            "You apply silu to the up branch. It belongs on the gate: silu(x @ Wg) decides how much of x @ Wu passes. "
            "With weights loaded from a model the two are not interchangeable.",
            [hidden(lambda g, u: g * silu(u))],
        ),
        Misconception(
            "sigmoid-gate",
            "Your gate is a plain sigmoid: that is GLU, the original gated unit. SwiGLU's gate is silu, u times "
            "sigmoid(u).",
            [gated_by(sigmoid), hidden(lambda g, u: g * sigmoid(u))],
        ),
        Misconception(
            "relu-gate",
            "Your gate is a ReLU: that is ReGLU. SwiGLU's gate is silu, which is smooth and lets a little through "
            "below 0.",
            [gated_by(relu)],
        ),
        Misconception(
            "gelu-gate",
            "Your gate is a GELU: that is GEGLU. It looks like silu, but is steeper around 0. SwiGLU's gate is u times "
            "sigmoid(u).",
            [gated_by(gelu), gated_by(gelu_tanh)],
        ),
        Misconception(
            "swish-1.702",
            "Your gate is u times sigmoid(1.702 u), a stand-in for GELU. SwiGLU uses the plain sigmoid(u), without "
            "that factor.",
            [gated_by(lambda g: g * sigmoid(1.702 * g))],
        ),
        Misconception(
            "no-activation",
            "You multiply the two branches without an activation: that is the bilinear variant. Look at what happens to"
            " x @ Wg before the product.",
            [hidden(lambda g, u: g * u)],
        ),
        Misconception(
            "no-gate",
            "One of the two branches is missing, so nothing is gated: that is an ordinary layer with two matrices. "
            "SwiGLU multiplies silu(x @ Wg) by x @ Wu.",
            [hidden(lambda g, u: silu(g)), hidden(lambda g, u: silu(u))],
        ),
        Misconception(
            "sum-instead-of-product",
            "You add the two branches. A gate multiplies: where silu(x @ Wg) is near 0, nothing of x @ Wu may pass.",
            [hidden(lambda g, u: silu(g) + u)],
        ),
        Misconception(
            "activation-after-product",
            "You multiply first and apply silu to the product. The activation belongs on the gate alone, before the "
            "product.",
            [hidden(lambda g, u: silu(g * u))],
        ),
        Misconception(
            "activation-after-down",
            "You apply silu at the end, after Wd. It belongs inside, on the gate; the down projection comes last and "
            "has no activation.",
            [lambda x, Wg, Wu, Wd: silu(((x @ Wg) * (x @ Wu)) @ Wd),
             lambda x, Wg, Wu, Wd: silu(swiglu_ffn(x, Wg, Wu, Wd))],
        ),
        Misconception(
            "both-branches-activated",
            "You apply silu to both branches. Only the gate has an activation; the up branch stays linear.",
            [hidden(lambda g, u: silu(g) * silu(u))],
        ),
        Misconception(
            "residual-included",
            "You add x to the result. The residual connection belongs to the block around this layer, which adds x "
            "itself; here it would be added twice.",
            [lambda x, Wg, Wu, Wd: x + swiglu_ffn(x, Wg, Wu, Wd)],
        ),
        Misconception(
            "softmax-gate",
            "Your gate is a softmax over the hidden units, so they compete for a total of 1. silu works on each unit "
            "by itself.",
            [gated_by(lambda g: softmax(g, -1))],
        ),
        Misconception(
            "normalised-over-positions",
            "You normalise over the tokens, axis 0. Every token then depends on all the others. This layer looks at "
            "one token at a time, and normalises nothing.",
            [gated_by(lambda g: softmax(g, 0)), *mixed(standardised)],
        ),
        Misconception(
            "mixes-positions",
            "You average over tokens. Mixing tokens is attention's work; this layer handles each row of x by itself.",
            [*mixed(lambda h: h.mean(0, keepdims=True) + 0 * h), *mixed(running_mean)],
        ),
    ],
    [
        "Three matrices, two branches: x @ Wg is the gate, x @ Wu is what it lets through. Both are (T, f).",
        "With sigmoid(u) = 1 / (1 + exp(-u)), silu(u) is u times sigmoid(u). Which of the two branches is it for?",
        "Multiply the branches element by element, then project back to (T, d) with Wd.",
    ],
    properties=[
        Property(
            "not-position-wise",
            "The result for a token changes with the tokens around it, or with its place among them. This layer is "
            "position-wise: row t of the result may depend on row t of x alone.",
            commutes_with_reversal,
        ),
    ],
)

# --- 35-B -----------------------------------------------------------------------------------------------------------


def write_fact(W1, b1, W2, key, value, thr):
    return (
        np.column_stack([W1, key]),  # (d, f + 1)
        np.append(b1, -thr),  # (f + 1,)
        np.vstack([W2, value / (1 - thr)]),  # (f + 1, d), because the new neuron gives 1 - thr at the key
    )


def write_fact_probes(rng):
    def layer(d, f, thr):
        key = rng.standard_normal(d)
        return (rng.standard_normal((d, f)), 0.5 + rng.random(f), rng.standard_normal((f, d)),
                key / np.linalg.norm(key), 3 * rng.standard_normal(d), thr)

    tiny = np.array([[1.0, -1], [2, 1]]), np.array([0.5, 2]), np.array([[1.0, 0], [1, 2]])
    return {
        "d = 2, two neurons, key [1, 0], value [0, 3], thr .5": (*tiny, np.array([1.0, 0]), np.array([0.0, 3]), 0.5),
        "d = 3, one neuron, thr .25": layer(3, 1, 0.25),
        "d = 8, 16 neurons, thr .6": layer(8, 16, 0.6),
        "d = f = 6, a low threshold, thr .1": layer(6, 6, 0.1),
        "d = 16, 32 neurons, a strict threshold, thr .9": layer(16, 32, 0.9),
    }


def layer_output(weights, x):
    """relu(x W1 + b1) W2 of x (N, d)."""
    W1, b1, W2 = weights
    return relu(x @ W1 + b1) @ W2


def what_changes(weights, W1, b1, W2, key, value, thr):
    """What the edit does: the change of the output at the key, and at unit vectors that must be left alone."""
    if not isinstance(weights, (tuple, list)) or len(weights) != 3:
        raise ValueError("return three arrays, W1, b1 and W2")
    new = [np.asarray(w, float) for w in weights]
    f = new[1].size
    if [w.shape for w in new] != [(key.size, f), (f,), (f, key.size)]:
        raise ValueError(f"the shapes {', '.join(str(w.shape) for w in new)} do not fit: "
                         f"W1 (d, f), b1 (f,) and W2 (f, d) with d = {key.size} and one f")
    rng = np.random.default_rng(20177)  # not a seed of the probes: a vector drawn again could be the key
    across = rng.standard_normal((400, key.size))
    across -= np.outer(across @ key, key)
    across /= np.linalg.norm(across, axis=1, keepdims=True)  # unit vectors at a right angle to the key (400, d)
    cosine = rng.uniform(-1, thr, (400, 1))
    cosine[0] = thr - 1e-3
    others = np.vstack([cosine * key + np.sqrt(1 - cosine**2) * across, -key])  # (401, d), all with x·key <= thr
    change = [layer_output(new, x) - layer_output((W1, b1, W2), x) for x in (key[None], others)]
    rounding = 1e-4 * np.abs(value).max()
    change = [np.where(np.abs(c) < rounding, 0, c) for c in change]
    worst = np.abs(change[1]).max(1).argmax()
    return {"the change at the key": change[0][0],
            "the change at a vector that must be left alone": change[1][worst]}


def append(w1, b, w2):
    """Append a neuron with input weights w1, bias b and output weights w2: each from (key, value, thr)."""
    def wrong(W1, b1, W2, *fact):
        return np.column_stack([W1, w1(*fact)]), np.append(b1, b(*fact)), np.vstack([W2, w2(*fact)])
    return wrong


def the_key(key, value, thr):
    return key


def minus_thr(key, value, thr):
    return -thr


def rescaled(key, value, thr):
    return value / (1 - thr)


def overwrite(index):
    """The right neuron, written over the one at `index`."""
    def wrong(W1, b1, W2, key, value, thr):
        W1, b1, W2 = W1.copy(), b1.copy(), W2.copy()
        W1[:, index], b1[index], W2[index] = key, -thr, value / (1 - thr)
        return W1, b1, W2
    return wrong


def edit_of_W2(replace=False):
    def wrong(W1, b1, W2, key, value, thr):
        h = relu(key @ W1 + b1)  # (f,)
        delta = value - h @ W2 if replace else value
        return W1, b1, W2 + np.outer(h, delta) / (h @ h)
    return wrong


def replaces(W1, b1, W2, key, value, thr):
    return write_fact(W1, b1, W2, key, value - layer_output((W1, b1, W2), key), thr)


WRITE_FACT = Exercise(
    write_fact,
    write_fact_probes,
    [
        Misconception(
            "no-threshold-bias",
            "Your neuron has no threshold: it fires for every input with a positive product with the key. The bias has "
            "to keep it silent up to thr.",
            [append(the_key, lambda *_: 0, lambda key, value, thr: value), append(the_key, lambda *_: 0, rescaled)],
        ),
        Misconception(
            "value-not-rescaled",
            "Your neuron writes too little. At the key it does not give 1 but what is left above the threshold, so the "
            "value has to be divided by that.",
            [append(the_key, minus_thr, lambda key, value, thr: value)],
        ),
        Misconception(
            "value-divided-by-thr",
            "You divide the value by thr. What the neuron gives at the key is key·key minus the threshold: divide by "
            "that.",
            [append(the_key, minus_thr, lambda key, value, thr: value / thr)],
        ),
        Misconception(
            "positive-bias",
            "Your bias has the wrong sign. A positive bias makes the neuron fire more easily, even for inputs that have"
            " nothing to do with the key; a threshold is a negative bias.",
            [append(the_key, lambda key, value, thr: thr, lambda key, value, thr: value / (1 + thr)),
             append(the_key, lambda key, value, thr: thr, rescaled),
             append(the_key, lambda key, value, thr: thr, lambda key, value, thr: value)],
        ),
        Misconception(
            "overwrites-neuron-0",
            "You write the fact over a neuron that was in use, so whatever it did is lost. Add a neuron instead: the "
            "hidden width may grow.",
            [overwrite(0), overwrite(-1)],
        ),
        Misconception(
            "key-and-value-swapped",
            "You swapped key and value. The input weights, a column of W1, recognise the key; the output weights, a row"
            " of W2, write the value.",
            [append(lambda key, value, thr: value, minus_thr, lambda key, value, thr: key / (1 - thr)),
             append(lambda key, value, thr: value, minus_thr, lambda key, value, thr: key)],
        ),
        Misconception(
            "rank-one-edit-of-W2",
            "You change W2 for neurons that other inputs use as well. At the key the result is right, but the change "
            "leaks to nearly every input. A neuron of its own, with a threshold, does not leak.",
            [edit_of_W2()],
        ),
        Misconception(
            "replaces-instead-of-adds",
            "You make the output at the key equal to value. It should become larger by value: what the layer wrote "
            "there before stays.",
            [replaces, edit_of_W2(replace=True)],
        ),
    ],
    [
        "A neuron is a column of W1, an entry of b1 and a row of W2. You may add one: `np.column_stack`, `np.append`, "
        "`np.vstack`.",
        "What must its input weights and its bias be, so that it is silent exactly while x·key is at most thr?",
        "Work out what this neuron gives at x = key. Its output weights times that number should be value.",
    ],
    view=what_changes,
)

EXERCISES = [SWIGLU_FFN, WRITE_FACT]
