"""Answers to the exercises of question 29, written as learners write them.

RIGHT: {exercise: functions that must pass}. WRONG: {exercise: [(function, name of its misconception or property, or
None where no name fits)]}. EQUIVALENT: {exercise: {mutated line of the reference: why it computes the same}}.
"""
import math

import numpy as np

# --- layer_norm ------------------------------------------------------------------------------------------------------


def one_expression(x, gamma, beta, eps=1e-5):
    return (x - x.mean(axis=-1, keepdims=True)) / np.sqrt(x.var(axis=-1, keepdims=True) + eps) * gamma + beta


def new_axis(x, gamma, beta, eps=1e-5):
    centred = x - np.mean(x, axis=-1)[..., None]
    return gamma * centred * ((centred**2).mean(-1) + eps)[..., np.newaxis] ** -0.5 + beta


def einsum(x, gamma, beta, eps=1e-5):
    d = x.shape[-1]
    centred = x - np.einsum("...d->...", x)[..., None] / d
    variance = np.einsum("...d,...d->...", centred, centred) / d
    return np.einsum("...d,d,...->...d", centred, gamma, 1 / np.sqrt(variance + eps)) + beta


def row_by_row(x, gamma, beta, eps=1e-5):
    out = np.empty_like(x)
    for i in np.ndindex(x.shape[:-1]):
        row = x[i]
        mean = sum(row) / len(row)
        variance = sum((v - mean) ** 2 for v in row) / len(row)
        for j, v in enumerate(row):
            out[i + (j,)] = (v - mean) / math.sqrt(variance + eps) * gamma[j] + beta[j]
    return out


def in_float32(x, gamma, beta, eps=1e-5):
    y = x.astype(np.float32)
    y = y - y.mean(-1, keepdims=True)
    y = y / np.sqrt(np.square(y).mean(-1, keepdims=True) + np.float32(eps))
    return (y * gamma.astype(np.float32) + beta.astype(np.float32)).astype(x.dtype)


def in_float64(x, gamma, beta, eps=1e-5):
    wide = x.astype(np.float64)
    mean, std = wide.mean(-1, keepdims=True), np.sqrt(wide.var(-1, keepdims=True) + eps)
    return ((wide - mean) / std * gamma + beta).astype(x.dtype)


def flattened(x, gamma, beta, eps=1e-5):
    rows = x.reshape(-1, x.shape[-1]).T
    rows = rows - rows.mean(0)
    return (rows / np.sqrt((rows * rows).sum(0) / len(rows) + eps)).T.reshape(x.shape) * gamma + beta


def centring_matrix(x, gamma, beta, eps=1e-5):
    d = x.shape[-1]
    centred = x @ (np.eye(d) - 1 / d).astype(x.dtype)
    return centred / np.sqrt(np.linalg.norm(centred, axis=-1, keepdims=True) ** 2 / d + eps) * gamma + beta


def on_a_copy(x, gamma, beta, eps=1e-5):
    x = x.copy()
    x -= x.mean(-1, keepdims=True)
    x /= np.sqrt((x**2).mean(-1, keepdims=True) + eps)
    x *= gamma
    x += beta
    return x


def row_by_row_ddof(x, gamma, beta, eps=1e-5):
    out = np.zeros(x.shape, x.dtype)
    for i in np.ndindex(x.shape[:-1]):
        mean = sum(x[i]) / len(x[i])
        variance = sum((v - mean) ** 2 for v in x[i]) / (len(x[i]) - 1)
        out[i] = (x[i] - mean) / math.sqrt(variance + eps) * gamma + beta
    return out


def row_by_row_no_eps(x, gamma, beta, eps=1e-5):  # ZeroDivisionError on a constant token
    out = np.zeros(x.shape, x.dtype)
    for i in np.ndindex(x.shape[:-1]):
        row = x[i].tolist()
        mean = sum(row) / len(row)
        std = math.sqrt(sum((v - mean) ** 2 for v in row) / len(row))
        out[i] = np.array([(v - mean) / std for v in row]) * gamma + beta
    return out


def sequence_axes(x, gamma, beta, eps=1e-5):  # crashes on vectors and matrices
    b, t, d = x.shape
    flat = x.reshape(b, t * d)
    return ((flat - flat.mean(1, keepdims=True)) / flat.std(1, keepdims=True)).reshape(b, t, d) * gamma + beta


def whole_sample_3d(x, gamma, beta, eps=1e-5):
    return (x - x.mean((1, 2), keepdims=True)) / np.sqrt(x.var((1, 2), keepdims=True) + eps) * gamma + beta


def batch_norm_flat(x, gamma, beta, eps=1e-5):
    rows = x.reshape(-1, x.shape[-1])
    return (gamma * (rows - rows.mean(0)) / np.sqrt(rows.var(0) + eps) + beta).reshape(x.shape)


def one_pass_sums(x, gamma, beta, eps=1e-5):
    d = x.shape[-1]
    s, s2 = np.sum(x, -1, keepdims=True), np.sum(np.square(x), -1, keepdims=True)
    return (x - s / d) / np.sqrt(np.maximum(s2 / d - (s / d) ** 2, 0) + eps) * gamma + beta


def one_pass_loop(x, gamma, beta, eps=1e-5):
    out = np.empty_like(x)
    for i in np.ndindex(x.shape[:-1]):
        s = s2 = x.dtype.type(0)
        for v in x[i][::-1]:
            s, s2 = s + v, s2 + v * v
        mean = s / len(gamma)
        out[i] = (x[i] - mean) / np.sqrt(s2 / len(gamma) - mean * mean + eps) * gamma + beta
    return out


def one_pass_absolute(x, gamma, beta, eps=1e-5):
    variance = np.abs(np.mean(x**2, -1, keepdims=True) - np.mean(x, -1, keepdims=True) ** 2)
    return (x - np.mean(x, -1, keepdims=True)) * gamma * (variance + eps) ** -0.5 + beta


def min_max(x, gamma, beta, eps=1e-5):
    low, high = x.min(-1, keepdims=True), x.max(-1, keepdims=True)
    return (x - low) / (high - low + eps) * gamma + beta


def mean_absolute_deviation(x, gamma, beta, eps=1e-5):
    centred = x - x.mean(-1, keepdims=True)
    return centred / (np.abs(centred).mean(-1, keepdims=True) + eps) * gamma + beta


def mean_over_everything(x, gamma, beta, eps=1e-5):
    return (x - x.mean()) / np.sqrt(x.var(-1, keepdims=True) + eps) * gamma + beta


# --- layer_norm_backward ---------------------------------------------------------------------------------------------


def parts(x, eps):
    centred = x - x.mean(-1, keepdims=True)
    sigma = np.sqrt((centred**2).mean(-1, keepdims=True) + eps)
    return centred / sigma, sigma


def textbook(dy, x, gamma, eps):
    n, sigma = parts(x, eps)
    g = gamma * dy
    dx = (g - g.mean(-1, keepdims=True) - n * (g * n).mean(-1, keepdims=True)) / sigma
    flat = (-1, x.shape[-1])
    return dx, (dy * n).reshape(flat).sum(0), dy.reshape(flat).sum(0)


def step_by_step(dy, x, gamma, eps):
    d = x.shape[-1]
    centred = x - x.mean(-1, keepdims=True)
    variance = (centred**2).mean(-1, keepdims=True)
    rstd = (variance + eps) ** -0.5
    dn = dy * gamma
    dvariance = (dn * centred * -0.5 * rstd**3).sum(-1, keepdims=True)
    dmean = -(dn * rstd).sum(-1, keepdims=True) - 2 * dvariance * centred.mean(-1, keepdims=True)
    dx = dn * rstd + dvariance * 2 * centred / d + dmean / d
    lead = tuple(range(x.ndim - 1))
    return dx, np.sum(dy * centred * rstd, axis=lead), np.sum(dy, axis=lead)


def jacobians(dy, x, gamma, eps):
    d = x.shape[-1]
    dx, dgamma, dbeta = np.zeros_like(x), np.zeros_like(gamma), np.zeros_like(gamma)
    for i in np.ndindex(x.shape[:-1]):
        n, sigma = parts(x[i], eps)
        jacobian = (np.eye(d) - np.full((d, d), 1 / d) - np.outer(n, n) / d) / sigma
        dx[i] = jacobian @ (dy[i] * gamma)
        dgamma += dy[i] * n
        dbeta += dy[i]
    return dx, dgamma, dbeta


def backward_einsum(dy, x, gamma, eps):
    d = x.shape[-1]
    n, sigma = parts(x, eps)
    g = np.einsum("...d,d->...d", dy, gamma)
    along = np.einsum("...d,...d->...", g, n)[..., None] / d
    dx = (g - np.einsum("...d->...", g)[..., None] / d - n * along) / sigma
    dy, n = dy.reshape(-1, d), n.reshape(-1, d)
    return [dx, np.einsum("nd,nd->d", dy, n), np.einsum("nd->d", dy)]


def backward_float32(dy, x, gamma, eps):
    dtype, (dy, x, gamma) = x.dtype, (a.astype(np.float32) for a in (dy, x, gamma))
    return tuple(part.astype(dtype) for part in textbook(dy, x, gamma, eps))


def scaled_by_d(dy, x, gamma, eps):
    d = x.shape[-1]
    n, sigma = parts(x, eps)
    g = dy * gamma
    dx = (d * g - g.sum(-1, keepdims=True) - n * (g * n).sum(-1, keepdims=True)) / (d * sigma)
    dgamma, dbeta = dy * n, dy
    while dbeta.ndim > 1:
        dgamma, dbeta = dgamma.sum(0), dbeta.sum(0)
    return dx, dgamma, dbeta


def detached_loop(dy, x, gamma, eps):
    right = textbook(dy, x, gamma, eps)
    rows = np.stack([row * gamma for row in dy.reshape(-1, x.shape[-1])])
    return rows.reshape(x.shape) / parts(x, eps)[1], *right[1:]


def dgamma_tokens_averaged(dy, x, gamma, eps):
    dx, dgamma, dbeta = textbook(dy, x, gamma, eps)
    return dx, dgamma / (x.size // x.shape[-1]), dbeta


def dgamma_over_features(dy, x, gamma, eps):
    n, _ = parts(x, eps)
    dx, _, dbeta = textbook(dy, x, gamma, eps)
    return dx, np.sum(dy * n, axis=-1), dbeta


def only_two_axes(dy, x, gamma, eps):  # right on matrices, one axis too many left on sequences
    dx, _, _ = textbook(dy, x, gamma, eps)
    return dx, (dy * parts(x, eps)[0]).sum(axis=0), dy.sum(axis=0)


def sign_flipped(dy, x, gamma, eps):
    dx, dgamma, dbeta = textbook(dy, x, gamma, eps)
    return -dx, dgamma, dbeta


def mean_term_added(dy, x, gamma, eps):
    n, sigma = parts(x, eps)
    g = dy * gamma
    _, dgamma, dbeta = textbook(dy, x, gamma, eps)
    return (g + g.mean(-1, keepdims=True) - n * (g * n).mean(-1, keepdims=True)) / sigma, dgamma, dbeta


def dx_alone(dy, x, gamma, eps):
    return textbook(dy, x, gamma, eps)[0]


# --- block -----------------------------------------------------------------------------------------------------------


def if_else(x, attn, ffn, ln1, ln2, mode):
    if mode == "post":
        h = ln1(attn(x) + x)
        y = ln2(ffn(h) + h)
    else:
        h = attn(ln1(x)) + x
        y = ffn(ln2(h)) + h
    return y


def loop_over_halves(x, attn, ffn, ln1, ln2, mode):
    for f, ln in ((attn, ln1), (ffn, ln2)):
        x = x + f(ln(x)) if mode == "pre" else ln(x + f(x))
    return x


def inner_function(x, attn, ffn, ln1, ln2, mode):
    def half(stream, sublayer, norm):
        return stream + sublayer(norm(stream)) if mode == "pre" else norm(stream + sublayer(stream))
    return half(half(x, attn, ln1), ffn, ln2)


def identity_norms(x, attn, ffn, ln1, ln2, mode):
    def same(z):
        return z
    before1, after1, before2, after2 = (ln1, same, ln2, same) if mode == "pre" else (same, ln1, same, ln2)
    x = after1(x + attn(before1(x)))
    return after2(x + ffn(before2(x)))


def sequence_by_sequence(x, attn, ffn, ln1, ln2, mode):
    return np.concatenate([if_else(one[None], attn, ffn, ln1, ln2, mode) for one in x])


def stream_on_a_copy(x, attn, ffn, ln1, ln2, mode):
    stream = np.array(x)
    if mode == "pre":
        stream += attn(ln1(stream))
        stream += ffn(ln2(stream))
        return stream
    return ln2((h := ln1(stream + attn(stream))) + ffn(h))


def normed_stream(x, attn, ffn, ln1, ln2, mode):
    if mode == "pre":
        x = ln1(x)
        x = x + attn(x)
        x = ln2(x)
        return x + ffn(x)
    return if_else(x, attn, ffn, ln1, ln2, mode)


def no_skip_around_ffn(x, attn, ffn, ln1, ln2, mode):
    if mode == "pre":
        return ffn(ln2(x + attn(ln1(x))))
    return if_else(x, attn, ffn, ln1, ln2, mode)


def always_pre(x, attn, ffn, ln1, ln2, mode):
    h = x + attn(ln1(x))
    return h + ffn(ln2(h))


def norm_on_both_sides(x, attn, ffn, ln1, ln2, mode):
    if mode == "pre":
        x = x + ln1(attn(ln1(x)))
        return x + ln2(ffn(ln2(x)))
    return if_else(x, attn, ffn, ln1, ln2, mode)


def skip_twice(x, attn, ffn, ln1, ln2, mode):
    return x + if_else(x, attn, ffn, ln1, ln2, mode)


RIGHT = {
    "layer_norm": [
        one_expression, new_axis, einsum, row_by_row, in_float32, in_float64, flattened, centring_matrix, on_a_copy,
    ],
    "layer_norm_backward": [textbook, step_by_step, jacobians, backward_einsum, backward_float32, scaled_by_d],
    "block": [if_else, loop_over_halves, inner_function, identity_norms, sequence_by_sequence, stream_on_a_copy],
}
WRONG = {
    "layer_norm": [
        (row_by_row_ddof, "ddof-1"), (row_by_row_no_eps, "eps-missing"), (whole_sample_3d, "whole-sample-axes"),
        (batch_norm_flat, "batch-norm-axes"), (one_pass_sums, "one-pass-variance"),
        (one_pass_absolute, "one-pass-variance"), (one_pass_loop, "one-pass-variance"),
        (mean_over_everything, "tokens-mixed"),
        (sequence_axes, "whole-sample-axes"), (min_max, None), (mean_absolute_deviation, None),
    ],
    "layer_norm_backward": [
        (detached_loop, "stats-detached"), (dgamma_tokens_averaged, "token-mean"), (only_two_axes, "first-axis-only"),
        (dgamma_over_features, "feature-axis"), (mean_term_added, "dx-not-centred"),
        (sign_flipped, None), (dx_alone, None),
    ],
    "block": [
        (normed_stream, "stream-normalised"), (no_skip_around_ffn, "skip-missing"), (always_pre, "mode-ignored"),
        (norm_on_both_sides, None), (skip_twice, None),
    ],
}
EQUIVALENT = {
    "layer_norm_backward": {
        f"others = tuple(range({array}.ndim - 1))": "it has as many axes as x"
        for array in ("dx", "dy", "g", "normed", "rstd")
    },
}
