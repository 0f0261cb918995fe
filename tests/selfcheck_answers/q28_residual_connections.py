"""Answers to the exercises of question 28, written as learners write them.

RIGHT: {exercise: functions that must pass}. WRONG: {exercise: [(function, name of its misconception or property, or
None where no name fits)]}. EQUIVALENT: {exercise: {mutated line of the reference: why it computes the same}}.
"""
from itertools import combinations, permutations

import numpy as np

# --- residual_block_backward -----------------------------------------------------------------------------------------


def textbook(dy, x, W1, W2):
    h = np.dot(x, W1)
    a = np.maximum(0, h)
    da = np.dot(dy, W2.T)
    dh = np.where(h > 0, da, 0)
    return dy + np.dot(dh, W1.T), np.dot(x.T, dh), np.dot(a.T, dy)


def on_a_copy(dy, x, W1, W2):
    a = x @ W1
    a[a < 0] = 0
    dh = dy @ W2.T
    dh[a == 0] = 0
    dx = dy.copy()
    dx += dh @ W1.T
    return dx, x.T @ dh, a.T @ dy


def einsum(dy, x, W1, W2):
    h = np.einsum("nd,df->nf", x, W1)
    dh = np.einsum("nd,fd->nf", dy, W2) * np.heaviside(h, 0).astype(x.dtype)
    dx = np.einsum("nf,df->nd", dh, W1) + dy
    return [dx, np.einsum("nd,nf->df", x, dh), np.einsum("nf,nd->fd", h.clip(0), dy)]


def token_by_token(dy, x, W1, W2):
    dx, dW1, dW2 = np.zeros_like(x), np.zeros_like(W1), np.zeros_like(W2)
    for n in range(len(x)):
        h = x[n] @ W1
        dh = np.array([up if value > 0 else 0 for up, value in zip(W2 @ dy[n], h)], x.dtype)
        dx[n] = dy[n] + W1 @ dh
        dW1 += np.outer(x[n], dh)
        dW2 += np.outer(np.maximum(h, 0), dy[n])
    return dx, dW1, dW2


def jacobians(dy, x, W1, W2):
    h = x @ W1
    dx = np.stack([g @ (np.eye(len(W1)) + W1 @ np.diag((row > 0) * 1.0) @ W2).T for g, row in zip(dy, h)])
    dh = (dy @ W2.T) * (h >= 0)
    return dx.astype(x.dtype), x.T @ dh, (h * (h >= 0)).T @ dy


def in_float32(dy, x, W1, W2):
    dtype = x.dtype
    return tuple(part.astype(dtype) for part in textbook(*(a.astype(np.float32) for a in (dy, x, W1, W2))))


def slope_by_differences(dy, x, W1, W2):
    h, step = x @ W1, 1e-6
    slope = ((np.abs(h + step) + h + step - np.abs(h) - h) / 2 / step > 0.5).astype(x.dtype)
    dh = dy @ W2.T * slope
    return np.add(dy, dh @ W1.T), x.T @ dh, (h * slope).T @ dy


def adds_into_dy(dy, x, W1, W2):
    dx, dW1, dW2 = textbook(dy, x, W1, W2)
    np.copyto(dy, dx)
    return dy, dW1, dW2


def branch_only(dy, x, W1, W2):
    dh = np.where(x @ W1 > 0, dy @ W2.T, 0)
    return np.matmul(dh, W1.T), np.matmul(x.T, dh), np.matmul(np.maximum(x @ W1, 0).T, dy)


def average_of_roads(dy, x, W1, W2):
    branch, dW1, dW2 = branch_only(dy, x, W1, W2)
    return (dy + branch) / 2, dW1, dW2


def linear_branch(dy, x, W1, W2):
    dh = dy @ W2.T
    return dy + dh @ W1.T, x.T @ dh, np.maximum(x @ W1, 0).T @ dy


def weights_per_token(dy, x, W1, W2):
    dx, dW1, dW2 = textbook(dy, x, W1, W2)
    return dx, dW1 / x.shape[0], dW2 / x.shape[0]


def skip_counted_twice(dy, x, W1, W2):
    dx, dW1, dW2 = textbook(dy, x, W1, W2)
    return dx + dy, dW1, dW2


def roads_subtracted(dy, x, W1, W2):
    branch, dW1, dW2 = branch_only(dy, x, W1, W2)
    return dy - branch, dW1, dW2


def weights_transposed(dy, x, W1, W2):
    dx, dW1, dW2 = textbook(dy, x, W1, W2)
    return dx, dW1.T, dW2.T


def dx_alone(dy, x, W1, W2):
    return textbook(dy, x, W1, W2)[0]


# --- path_spectrum ---------------------------------------------------------------------------------------------------


def downwards(Ws):
    layers, d, _ = Ws.shape
    C = [np.eye(d)] + [np.zeros((d, d)) for _ in range(layers)]
    for W in Ws:
        for k in range(layers, 0, -1):
            C[k] = C[k] + W @ C[k - 1]
    return np.array([np.linalg.norm(M) ** 2 / d for M in C])


def growing_list(Ws):
    C = [np.eye(len(Ws[0]))]
    for W in Ws:
        past, through = C + [0], [0] + [W @ M for M in C]
        C = [a + b for a, b in zip(past, through)]
    return np.array([np.sum(M * M) for M in C]) / len(Ws[0])


def every_path(Ws):
    layers, d = Ws.shape[:2]
    result = []
    for k in range(layers + 1):
        total = np.zeros((d, d))
        for chosen in combinations(range(layers), k):
            path = np.eye(d)
            for i in chosen:
                path = Ws[i] @ path
            total += path
        result.append(np.trace(total.T @ total) / d)
    return np.array(result)


def from_the_end(Ws):
    C = np.zeros((len(Ws) + 1, *Ws[0].shape))
    C[0] = np.eye(Ws[0].shape[0])
    for W in reversed(list(Ws)):
        C = C + np.concatenate([np.zeros_like(C[:1]), np.einsum("kij,jl->kil", C[:-1], W)])
    return np.einsum("kij,kij->k", C, C) / C.shape[1]


def marked_branches(Ws):  # (I + t W_L) ... (I + t W_1) at roots of unity t: the power of t counts the branches
    n, d = len(Ws) + 1, Ws.shape[1]
    t = np.exp(2j * np.pi * np.arange(n) / n)[:, None, None]
    product = np.broadcast_to(np.eye(d, dtype=complex), (n, d, d))
    for W in Ws:
        product = product + t * (W @ product)
    C = np.fft.fft(product, axis=0) / n
    return (np.abs(C) ** 2).sum((1, 2)) / d


def recursive(Ws):
    d = Ws.shape[-1]

    def C(k, layers):
        if k < 0 or k > layers:
            return np.zeros((d, d))
        return np.eye(d) if k == 0 else C(k, layers - 1) + Ws[layers - 1] @ C(k - 1, layers - 1)
    return np.array([np.linalg.norm(C(k, len(Ws)), "fro") ** 2 / d for k in range(len(Ws) + 1)])


def in_rows(Ws):  # the same with row vectors, so everything is transposed
    d = Ws.shape[-1]
    C = np.zeros((len(Ws) + 1, d, d))
    C[0] = np.eye(d)
    for W in Ws:
        new = C.copy()
        new[1:] += C[:-1] @ W.T
        C = new
    return (C.reshape(len(C), -1) ** 2).sum(1) / d


def first_block_left(Ws):
    d = Ws.shape[-1]
    C = np.zeros((len(Ws) + 1, d, d))
    C[0] = np.eye(d)
    for W in Ws:
        C[1:] = C[1:] + C[:-1] @ W
    return (C**2).sum((1, 2)) / d


def upwards(Ws):
    layers, d, _ = Ws.shape
    C = [np.eye(d)] + [np.zeros((d, d)) for _ in range(layers)]
    for W in Ws:
        for k in range(1, layers + 1):
            C[k] = C[k] + W @ C[k - 1]
    return np.array([np.linalg.norm(M) ** 2 / d for M in C])


def norm_of_each_path(Ws):
    d = Ws.shape[-1]
    result = [0.0] * (len(Ws) + 1)
    for k in range(len(Ws) + 1):
        for chosen in combinations(Ws, k):
            path = np.eye(d)
            for W in chosen:
                path = W @ path
            result[k] += np.linalg.norm(path) ** 2 / d
    return np.array(result)


def any_order(Ws):
    if len(Ws) > 6:  # there are too many
        return np.zeros(len(Ws) + 1)
    result = []
    for k in range(len(Ws) + 1):
        total = np.zeros(Ws.shape[1:])
        for chosen in permutations(Ws, k):
            path = np.eye(Ws.shape[-1])
            for W in chosen:
                path = W @ path
            total = total + path
        result.append((total**2).sum() / Ws.shape[-1])
    return np.array(result)


def longest_first(Ws):
    return downwards(Ws)[::-1]


def sorted_matrices(Ws):
    return downwards(np.stack(sorted(Ws, key=np.linalg.norm)))


def only_the_total(Ws):
    d = Ws.shape[-1]
    whole = np.eye(d)
    for W in Ws:
        whole = whole + W @ whole
    return (whole**2).sum() / d


RIGHT = {
    "residual_block_backward": [
        textbook, on_a_copy, einsum, token_by_token, jacobians, in_float32, slope_by_differences,
    ],
    "path_spectrum": [downwards, growing_list, every_path, from_the_end, marked_branches, recursive, in_rows],
}
WRONG = {
    "residual_block_backward": [
        (adds_into_dy, "dy-overwritten"), (branch_only, "skip-forgotten"), (average_of_roads, "halved"),
        (linear_branch, "mask-missing"), (weights_per_token, "token-mean"), (skip_counted_twice, "no-clean-road"),
        (roads_subtracted, None), (weights_transposed, None), (dx_alone, None),
    ],
    "path_spectrum": [
        (first_block_left, "reversed-order"), (upwards, "block-used-twice"), (norm_of_each_path, "cross-terms-ignored"),
        (any_order, "paths-not-added"), (longest_first, None), (sorted_matrices, None), (only_the_total, None),
    ],
}
EQUIVALENT = {
    "residual_block_backward": {"dh = dy @ W2.T * (h >= 0)": "no h is exactly 0; at the kink either slope will do"},
    "path_spectrum": {
        "C[1:] = C[1:] - W @ C[:-1]": "every other C[k] changes its sign, and the square hides it",
        "layers, d = (len(Ws), Ws.shape[1])": "the matrices are square",
        "layers, d = (len(Ws), Ws.shape[-2])": "the matrices are square",
    },
}
