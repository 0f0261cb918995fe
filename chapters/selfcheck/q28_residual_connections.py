"""Exercises 28-A and 28-B: the backward pass of a residual block, and the paths through a residual stack."""
from math import comb

import numpy as np

from selfcheck import Exercise, Misconception, Property

# --- 28-A -----------------------------------------------------------------------------------------------------------


def residual_block_backward(dy, x, W1, W2):
    h = x @ W1  # (N, f)
    dh = (dy @ W2.T) * (h > 0)  # (N, f)
    return dy + dh @ W1.T, x.T @ dh, np.maximum(h, 0).T @ dy


def residual_block_backward_probes(rng):
    def probe(N, d, f):
        return rng.standard_normal((N, d)), rng.standard_normal((N, d)), rng.standard_normal((d, f)), rng.standard_normal((f, d))

    one = np.array([[1.0, 2], [3, 4]])
    dy, x, W1, W2 = probe(5, 4, 12)
    return {
        "one token [1, 2], dy = [1, 10], W1 = [[1, -1], [1, 1]], W2 = [[1, 2], [3, 4]]":
            (np.array([[1.0, 10]]), one[:1], np.array([[1.0, -1], [1, 1]]), one),
        "one token whose ReLUs are all off, so only the skip is left": (np.array([[1.0, -2]]), one[:1], -one, one),
        "a silent branch, W2 = 0": (dy, x, W1, np.zeros((12, 4))),
        "5 tokens, d = 4, f = 12": (dy, x, W1, W2),
        "f smaller than d": probe(6, 8, 3),
        "as many tokens as features, N = d = f = 8": probe(8, 8, 8),
        "float32, 5 tokens, d = 4, f = 12": tuple(a.astype(np.float32) for a in probe(5, 4, 12)),
    }


def block_backward_with(dx=None, dW1=None, dW2=None, dh=None, arrives=lambda dy, **_: dy):
    """The backward pass with other formulas for some of its parts, each from the quantities of the right one."""
    def wrong(dy, x, W1, W2):
        h = x @ W1
        part = {"x": x, "W1": W1, "W2": W2, "h": h, "a": np.maximum(h, 0), "mask": h > 0}
        part["dy"] = arrives(dy=dy, **part)
        part["dh"] = (dh or right_dh)(**part)

        def of(formula, default):
            return formula(**part) if formula else default(**part)
        return of(dx, right_dx), of(dW1, right_dW1), of(dW2, right_dW2)
    return wrong


def right_dh(dy, W2, mask, **_):
    return (dy @ W2.T) * mask


def right_dx(dy, dh, W1, **_):
    return dy + dh @ W1.T


def right_dW1(x, dh, **_):
    return x.T @ dh


def right_dW2(a, dy, **_):
    return a.T @ dy


def skip_written_into_dy(dy, x, W1, W2):
    _, dW1, dW2 = residual_block_backward(dy, x, W1, W2)
    dx = dy
    dx += ((dy @ W2.T) * (x @ W1 > 0)) @ W1.T
    return dx, dW1, dW2


def skip_written_into_dy_too_early(dy, x, W1, W2):
    h = x @ W1
    dh = (dy @ W2.T) * (h > 0)
    dx = dy
    dx += dh @ W1.T
    return dx, x.T @ dh, np.maximum(h, 0).T @ dy  # dy is no longer dy


def silent_branch_passes_dy(fn):
    dy, x = np.arange(1.0, 7).reshape(2, 3), np.ones((2, 3))
    dx, _, _ = fn(dy, x, np.ones((3, 4)), np.zeros((4, 3)))
    return np.allclose(dx, dy, rtol=1e-4)


RESIDUAL_BLOCK_BACKWARD = Exercise(
    residual_block_backward,
    residual_block_backward_probes,
    [
        Misconception(
            "skip-forgotten",
            "Your dx holds the road through the branch alone. x is also added to the output as it is, and that road carries a gradient too.",
            [block_backward_with(dx=lambda dh, W1, **_: dh @ W1.T)],
        ),
        Misconception(
            "identity-only",
            "Your dx is dy and nothing else. The skip gives that part; x also reaches the output through the branch.",
            [block_backward_with(dx=lambda dy, **_: dy.copy())],
        ),
        Misconception(
            "product-not-sum",
            "You multiply the gradients of the two roads. The block *adds* the skip and the branch, so their gradients add as well.",
            [block_backward_with(dx=lambda dy, dh, W1, **_: dy * (dh @ W1.T))],
        ),
        Misconception(
            "adds-activation",
            "Your dx contains x itself. The forward pass adds x; backward, what comes along the skip is the gradient dy.",
            [block_backward_with(dx=lambda x, dh, W1, **_: x + dh @ W1.T)],
        ),
        Misconception(
            "mask-missing",
            "Your gradient goes through the ReLU everywhere. Where x @ W1 is negative the ReLU is flat, and no gradient passes.",
            [block_backward_with(dh=lambda dy, W2, **_: dy @ W2.T)],
        ),
        Misconception(
            "mask-of-the-gradient",
            "You apply ReLU to the gradient, so what counts is the sign of the gradient. The mask comes from the forward pass: from the sign of x @ W1.",
            [block_backward_with(dh=lambda dy, W2, **_: np.maximum(dy @ W2.T, 0))],
        ),
        Misconception(
            "relu-after-add",
            "You mask dy by the sign of the output, as if the ReLU came after the addition. Here it is inside the branch, so the skip stays clean.",
            [block_backward_with(arrives=lambda dy, x, a, W2, **_: dy * (x + a @ W2 > 0)),
             block_backward_with(arrives=lambda dy, x, a, W2, **_: dy * (x + a @ W2 > 0), dh=lambda dy, W2, **_: dy @ W2.T)],
        ),
        Misconception(
            "halved",
            "Your dx is half of the right one. Two roads that meet are added, not averaged: y is x + f(x), without a factor 1/2.",
            [block_backward_with(dx=lambda **p: 0.5 * right_dx(**p)),
             block_backward_with(*(lambda right=right, **p: 0.5 * right(**p) for right in (right_dx, right_dW1, right_dW2)))],
        ),
        Misconception(
            "weights-see-2dy",
            "Your weight gradients are twice too large. The weights are in the branch alone, so they see dy once; the skip has no weights.",
            [block_backward_with(dW1=lambda **p: 2 * right_dW1(**p), dW2=lambda **p: 2 * right_dW2(**p)),
             block_backward_with(dW1=lambda **p: 2 * right_dW1(**p)), block_backward_with(dW2=lambda **p: 2 * right_dW2(**p))],
        ),
        Misconception(
            "dy-overwritten",
            "You write into the caller's dy: `dx = dy` makes no copy, so `dx += ...` changes both. Whoever called you may still need dy. "
            "Add into a new array: `dx = dy + ...`.",
            [skip_written_into_dy, skip_written_into_dy_too_early],
        ),
        Misconception(
            "before-the-relu",
            "Your dW2 uses x @ W1 before the ReLU. W2 multiplies what comes out of the ReLU.",
            [block_backward_with(dW2=lambda h, dy, **_: h.T @ dy)],
        ),
        Misconception(
            "token-mean",
            "You average the weight gradients over the tokens. All tokens share the weights, so their gradients add up; "
            "the loss has already done any averaging.",
            [block_backward_with(dW1=lambda **p: right_dW1(**p) / len(p["x"]), dW2=lambda **p: right_dW2(**p) / len(p["x"]))],
        ),
    ],
    [
        "x reaches y by two roads: straight along the skip, and through W1, the ReLU and W2. What happens to gradients where two roads meet?",
        "Walk the branch backwards. y contains a @ W2 with a = relu(h): that gives the gradient at a, and dW2. Then h = x @ W1.",
        "The ReLU lets a gradient pass where h > 0. Compute h again from x and W1.",
        "Check: with W2 = 0 the branch is silent, and dx must be dy.",
    ],
    properties=[
        Property(
            "no-clean-road",
            "With a silent branch (W2 = 0) the block is the identity, and dx must be dy, unchanged. Look at the road along the skip.",
            silent_branch_passes_dy,
        ),
    ],
    returns="dx, dW1, dW2",
)

# --- 28-B -----------------------------------------------------------------------------------------------------------


def path_spectrum(Ws):
    layers, d = len(Ws), Ws.shape[-1]
    C = np.zeros((layers + 1, d, d))  # C[k]: the paths through k branches so far, added up
    C[0] = np.eye(d)
    for W in Ws:
        C[1:] = C[1:] + W @ C[:-1]  # past this block, or through it
    return (C**2).sum((1, 2)) / d


def path_spectrum_probes(rng):
    def stack(layers, d, a=1.0):
        return a * rng.standard_normal((layers, d, d)) / d**0.5

    return {
        "two blocks with d = 1, W = 2 and W = 3": (np.array([[[2.0]], [[3.0]]]),),
        "one block, W = [[1, 2], [0, 1]]": (np.array([[[1.0, 2], [0, 1]]]),),
        "three blocks, d = 2, whose order matters": (np.array([[[0.0, 1], [0, 0]], [[0, 0], [2, 0]], [[1, 3], [0, 1]]]),),
        "four blocks of d = 4": (stack(4, 4),),
        "six blocks of d = 3": (stack(6, 3),),
        "eight weak blocks of d = 5": (stack(8, 5, a=0.3),),
        "ten blocks of d = 2": (stack(10, 2),),
    }


def paths(Ws):
    """(number of branches, product of their matrices) of every path."""
    found = [(0, np.eye(Ws.shape[-1]))]
    for W in Ws:  # each path so far goes on past this block, or through it
        found += [(k + 1, W @ P) for k, P in found]
    return found


def by_length(measure):
    """`measure` (of a matrix) of every C[k]."""
    def wrong(Ws):
        C = np.zeros((len(Ws) + 1, *Ws.shape[1:]))
        for k, P in paths(Ws):
            C[k] += P
        return np.array([measure(M) for M in C])
    return wrong


def frobenius(M):
    return np.sqrt((M**2).sum())


def each_path_alone(Ws):
    result = np.zeros(len(Ws) + 1)
    for k, P in paths(Ws):
        result[k] += (P**2).sum() / Ws.shape[-1]
    return result


def counts(Ws):
    return np.array([float(comb(len(Ws), k)) for k in range(len(Ws) + 1)])


def typical_square(Ws):
    return (Ws**2).sum() / Ws.shape[-1] / len(Ws)


def one_path(order):
    """Only the path through the first (or last) k blocks of each length."""
    def wrong(Ws):
        P, result = np.eye(Ws.shape[-1]), [1.0]
        for W in Ws[::order]:
            P = W @ P if order > 0 else P @ W
            result.append((P**2).sum() / Ws.shape[-1])
        return np.array(result)
    return wrong


def block_twice(Ws):
    C = np.zeros((len(Ws) + 1, *Ws.shape[1:]))
    C[0] = np.eye(Ws.shape[-1])
    for W in Ws:
        for k in range(1, len(C)):  # C[k - 1] has this block already
            C[k] = C[k] + W @ C[k - 1]
    return (C**2).sum((1, 2)) / Ws.shape[-1]


def paths_are_counted(fn):
    spectrum = fn(np.ones((4, 1, 1)))
    return np.shape(spectrum) != (5,) or np.allclose(spectrum, [1, 16, 36, 16, 1], rtol=1e-4)


PATH_SPECTRUM = Exercise(
    path_spectrum,
    path_spectrum_probes,
    [
        Misconception(
            "cross-terms-ignored",
            "You square every path by itself and then add. Paths of one length are added first, as matrices, and may cancel or support each other; the square comes after.",
            [each_path_alone],
        ),
        Misconception(
            "reversed-order",
            "Your products are in the wrong order. x meets the first block first, so the matrices of later blocks stand on the left: W2 @ W1.",
            [lambda Ws: path_spectrum(Ws[::-1])],
        ),
        Misconception(
            "binomial-counts-only",
            "You count the paths of each length. How much they carry depends on the matrices: form the products and add them.",
            [counts, lambda Ws: counts(Ws) / 2 ** len(Ws), lambda Ws: counts(Ws) ** 2,
             lambda Ws: counts(Ws) * typical_square(Ws) ** np.arange(len(Ws) + 1)],
        ),
        Misconception(
            "one-path-per-length",
            "You take one path of each length, through the first k blocks or the last k. Any k of the L blocks make a path of that length.",
            [one_path(1), one_path(-1)],
        ),
        Misconception(
            "block-used-twice",
            "In your loop a path can cross the same block twice: C[k] is built from a C[k - 1] that already contains this block. "
            "Use the old values, or go through k downwards.",
            [block_twice],
        ),
        Misconception(
            "not-squared",
            "You return the norm where its square belongs: the sum of the squares of all entries, over d.",
            [by_length(frobenius), by_length(lambda M: frobenius(M) / len(M)), lambda Ws: np.sqrt(path_spectrum(Ws))],
        ),
        Misconception(
            "spectral-norm",
            "You use the largest singular value. The Frobenius norm is asked for: the root of the sum of the squares of all entries.",
            [by_length(lambda M: np.linalg.norm(M, 2) ** 2 / len(M)), by_length(lambda M: np.linalg.norm(M, 2) ** 2)],
        ),
        Misconception(
            "not-divided-by-d",
            "You did not divide by d. The identity path has squared norm d; divided by d it counts as 1.",
            [lambda Ws: path_spectrum(Ws) * Ws.shape[-1]],
        ),
        Misconception(
            "mean-of-entries",
            "You take the mean of all d x d entries, which divides by d squared. Divide the sum of the squares by d, so that the identity path counts as 1.",
            [by_length(lambda M: (M**2).mean())],
        ),
        Misconception(
            "identity-path-missing",
            "The path that passes every block is missing. It crosses k = 0 branches, its matrix is the identity, and it comes first in the result.",
            [lambda Ws: path_spectrum(Ws) * (np.arange(len(Ws) + 1) > 0), lambda Ws: path_spectrum(Ws)[1:]],
        ),
        Misconception(
            "shares",
            "You divided by the sum, so that the entries add up to 1. The spectrum is asked for as it is; for k = 0 it is 1.",
            [lambda Ws: path_spectrum(Ws) / path_spectrum(Ws).sum()],
        ),
    ],
    [
        "Write out two blocks: (I + W2)(I + W1) = I + (W1 + W2) + W2 W1. Group by the number of matrices.",
        "Let C[k] hold the sum of all paths through k branches so far. A new block W lets a path pass, or makes it one branch longer.",
        "So C[k] becomes C[k] + W @ C[k - 1], with the old C[k - 1]. Start with C[0] = I and zeros.",
        "At the end: the sum of the squares of all entries of C[k], divided by d. The first entry is always 1.",
    ],
    properties=[
        Property(
            "paths-not-added",
            "Four blocks with d = 1 and W = 1: every path carries 1, so the result must be the squared binomials 1, 16, 36, 16, 1.",
            paths_are_counted,
        ),
    ],
)

EXERCISES = [RESIDUAL_BLOCK_BACKWARD, PATH_SPECTRUM]
