"""Answers to the exercises of question 34, written as learners write them.

RIGHT: {exercise: functions that must pass}. WRONG: {exercise: [(function, name of its misconception or property, or
None where no name fits)]}. EQUIVALENT: {exercise: {mutated line of the reference: why it computes the same}}.
"""
import numpy as np

# --- grad_profile ----------------------------------------------------------------------------------------------------


def lists(x, Ws, g, skip):
    hs = []
    for W in Ws:
        h = x @ W
        hs.append(h)
        x = x * skip + h * (h > 0)
    out = [np.sqrt((g**2).sum())]
    for i in range(len(Ws) - 1, -1, -1):
        dh = np.where(hs[i] > 0, g, 0)
        g = g * skip + dh @ Ws[i].T
        out.append(np.sqrt((g**2).sum()))
    out.reverse()
    return np.array(out)


def into_an_array(x, Ws, g, skip):
    L, masks = len(Ws), []
    profile = np.zeros(L + 1)
    for l in range(L):
        h = np.dot(x, Ws[l])
        masks.append(np.heaviside(h, 0))
        x = skip * x + masks[-1] * h
    for l in reversed(range(L)):
        profile[l + 1] = np.linalg.norm(g, "fro")
        g = skip * g + np.dot(masks[l] * g, np.transpose(Ws[l]))
    profile[0] = np.linalg.norm(g, "fro")
    return profile


def recursive(x, Ws, g, skip):
    def backward(x, l):
        """Gradient at x, the stream before layer l, and the norms from there on."""
        if l == len(Ws):
            return g, [np.linalg.norm(g)]
        h = x @ Ws[l]
        after, rest = backward(skip * x + np.maximum(h, 0), l + 1)
        here = skip * after + (after * (h > 0)) @ Ws[l].T
        return here, [np.linalg.norm(here), *rest]
    return np.array(backward(x, 0)[1])


def jacobians(x, Ws, g, skip):
    """Token by token, with the Jacobian of every layer as a matrix."""
    squares = np.zeros(len(Ws) + 1)
    for token, grad in zip(x, g):
        Js = []
        for W in Ws:
            h = token @ W
            Js.append(skip * np.eye(len(token)) + W * (h > 0))  # row i: what feature i moves
            token = skip * token + np.clip(h, 0, None)
        squares[-1] += grad @ grad
        for l in reversed(range(len(Ws))):
            grad = Js[l] @ grad
            squares[l] += grad @ grad
    return squares**0.5


def einsum(x, Ws, g, skip):
    masks = np.empty((len(Ws), *x.shape), bool)
    for l, W in enumerate(Ws):
        h = np.einsum("ni,ij->nj", x, W)
        masks[l] = h > 0
        x = skip * x + np.where(masks[l], h, 0)
    gs = np.empty((len(Ws) + 1, *g.shape))
    gs[-1] = g
    for l in range(len(Ws))[::-1]:
        gs[l] = skip * gs[l + 1] + np.einsum("nj,nj,ij->ni", gs[l + 1], masks[l], W := Ws[l])
    return np.linalg.norm(gs, axis=(1, 2))


def mask_with_equality(x, Ws, g, skip):
    masks = []
    for W in Ws:
        h = x @ W
        masks.append(h >= 0)  # at 0 exactly either slope is right
        x = skip * x + np.maximum(h, 0)
    norms = [np.linalg.norm(g)]
    for W, mask in zip(reversed(Ws), reversed(masks)):
        g = skip * g + (g * mask) @ W.T
        norms.insert(0, np.linalg.norm(g))
    return np.asarray(norms)


def in_float32(x, Ws, g, skip):
    return lists(x.astype(np.float32), Ws.astype(np.float32), g.astype(np.float32), skip).astype(np.float64)


def no_relu_backward(x, Ws, g, skip):
    out = [np.linalg.norm(g)]
    for W in Ws[::-1]:
        g = skip * g + g @ W.T
        out.append(np.linalg.norm(g))
    return np.array(out[::-1])


def mask_of_the_new_stream(x, Ws, g, skip):
    masks = []
    for W in Ws:
        x = skip * x + np.maximum(x @ W, 0)
        masks.append(x > 0)
    out = [np.linalg.norm(g)]
    for W, mask in zip(Ws[::-1], masks[::-1]):
        g = skip * g + (g * mask) @ W.T
        out.append(np.linalg.norm(g))
    return np.array(out[::-1])


def masked_first(x, Ws, g, skip):
    masks = []
    for W in Ws:
        h = x @ W
        masks.append(h > 0)
        x = skip * x + np.maximum(h, 0)
    out = [np.linalg.norm(g)]
    for W, mask in zip(Ws[::-1], masks[::-1]):
        g = np.where(mask, g, 0)
        g = skip * g + g @ W.T
        out.append(np.linalg.norm(g))
    return np.array(out[::-1])


def last_layer_first_in_the_list(x, Ws, g, skip):
    return np.flip(lists(x, Ws, g, skip))


def mask_of_the_gradient(x, Ws, g, skip):
    out = [np.linalg.norm(g)]
    for W in Ws[::-1]:
        g = skip * g + np.maximum(g, 0) @ W.T
        out.append(np.linalg.norm(g))
    return np.array(out[::-1])


def root_mean_square(x, Ws, g, skip):
    return lists(x, Ws, g, skip) / np.sqrt(g.size)


def without_the_last(x, Ws, g, skip):
    return lists(x, Ws, g, skip)[:-1]


def absolute_sums(x, Ws, g, skip):
    masks = []
    for W in Ws:
        h = x @ W
        masks.append(h > 0)
        x = skip * x + np.maximum(h, 0)
    out = [np.abs(g).sum()]
    for W, mask in zip(Ws[::-1], masks[::-1]):
        g = skip * g + (g * mask) @ W.T
        out.append(np.abs(g).sum())
    return np.array(out[::-1])


# --- softmax_backward ------------------------------------------------------------------------------------------------


def one_expression(p, dp):
    return p * (dp - np.sum(dp * p, axis=-1, keepdims=True))


def two_terms(p, dp):
    ds = p * dp
    return ds - p * ds.sum(axis=-1)[..., None]


def jacobian_matrices(p, dp):
    n = p.shape[-1]
    J = p[..., :, None] * np.eye(n, dtype=p.dtype) - p[..., :, None] * p[..., None, :]
    return (J @ dp[..., None])[..., 0]


def with_einsum(p, dp):
    mean = np.einsum("...n,...n->...", p, dp)
    return np.einsum("...n,...n->...n", p, dp - mean[..., np.newaxis])


def row_by_row(p, dp):
    ds = np.empty_like(dp)
    for i in np.ndindex(p.shape[:-1]):
        J = np.diag(p[i]) - np.outer(p[i], p[i])
        ds[i] = J @ dp[i]
    return ds


def entry_by_entry(p, dp):
    out = np.zeros_like(p)
    n = p.shape[-1]
    for i in np.ndindex(p.shape[:-1]):
        for j in range(n):
            for k in range(n):
                out[i + (j,)] += dp[i + (k,)] * p[i + (k,)] * ((j == k) - p[i + (j,)])
    return out


def with_matmul(p, dp):
    return p * (dp - (p[..., None, :] @ dp[..., :, None])[..., 0])


def on_a_copy(p, dp):
    ds = dp.copy()
    ds -= (ds * p).sum(-1, keepdims=True)
    ds *= p
    return ds


def average(p, dp):
    flat_p, flat_dp = p.reshape(-1, p.shape[-1]), dp.reshape(-1, p.shape[-1])
    centred = [row - np.average(row, weights=w) for w, row in zip(flat_p, flat_dp)]
    return p * np.reshape(centred, p.shape).astype(p.dtype)


def jacobian_diagonal(p, dp):
    return np.stack([w * (1 - w) for w in np.atleast_1d(p)]) * dp


def constant_denominator(p, dp):
    return np.multiply(dp, p)


def sum_lost_its_axis(p, dp):
    mean = np.sum(p * dp, axis=-1)
    return p * (dp - mean)


def swapped_difference(p, dp):
    return p * ((p * dp).sum(-1, keepdims=True) - dp)


def largest_subtracted(p, dp):
    return p * (dp - dp.max(-1, keepdims=True))


def like_layer_norm(p, dp):
    return dp - dp.mean(-1, keepdims=True)


def roles_swapped(p, dp):
    return dp * (p - (p * dp).sum(-1, keepdims=True))


def gradient_in_place(p, dp):
    dp -= (p * dp).sum(-1, keepdims=True)
    dp *= p
    return dp


RIGHT = {
    "grad_profile": [lists, into_an_array, recursive, jacobians, einsum, mask_with_equality, in_float32],
    "softmax_backward": [
        one_expression, two_terms, jacobian_matrices, with_einsum, row_by_row, entry_by_entry, with_matmul, on_a_copy,
        average,
    ],
}
WRONG = {
    "grad_profile": [
        (no_relu_backward, "mask-missing"), (mask_of_the_new_stream, "mask-from-block-output"),
        (masked_first, "mask-on-skip-too"), (last_layer_first_in_the_list, "order-reversed"),
        (mask_of_the_gradient, "not-linear"), (root_mean_square, None), (without_the_last, None), (absolute_sums, None),
    ],
    "softmax_backward": [
        (jacobian_diagonal, "diagonal-only"), (constant_denominator, "normaliser-constant"),
        (sum_lost_its_axis, "keepdims-missing"), (swapped_difference, "sign-flipped"),
        (largest_subtracted, "rows-not-zero"), (roles_swapped, "rows-not-zero"), (like_layer_norm, None),
        (gradient_in_place, None),
    ],
}
EQUIVALENT = {
    "grad_profile": {
        "gs.append(skip * gs[-1] + gs[-1] * (h >= 0) @ W.T)":
            "no probe has a ReLU that reads exactly 0, where any slope from 0 to 1 would be right",
    },
}
