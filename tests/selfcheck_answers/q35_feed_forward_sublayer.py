"""Answers to the exercises of question 35, written as learners write them.

RIGHT: {exercise: functions that must pass}. WRONG: {exercise: [(function, name of its misconception or property, or
None where no name fits)]}. EQUIVALENT: {exercise: {mutated line of the reference: why it computes the same}}.
"""
import math

import numpy as np

# --- swiglu_ffn ------------------------------------------------------------------------------------------------------


def with_helper(x, Wg, Wu, Wd):
    def silu(u):
        return u * (1 / (1 + np.exp(-u)))
    return (silu(x @ Wg) * (x @ Wu)) @ Wd


def with_tanh(x, Wg, Wu, Wd):
    g = np.matmul(x, Wg)
    return np.matmul(g * 0.5 * (1 + np.tanh(g / 2)) * np.matmul(x, Wu), Wd)


def stacked_matrices(x, Wg, Wu, Wd):
    gate, up = np.split(x @ np.hstack([Wg, Wu]), 2, axis=-1)
    return gate * up / (1 + np.exp(-gate)) @ Wd


def einsum_layer(x, Wg, Wu, Wd):
    gate = np.einsum("td,df->tf", x, Wg)
    return np.einsum("tf,tf,fd->td", gate / (1 + np.exp(-gate)), np.einsum("td,df->tf", x, Wu), Wd)


def token_by_token(x, Wg, Wu, Wd):
    out = np.empty_like(x)
    for t, row in enumerate(x):
        gate, up = Wg.T @ row, Wu.T @ row
        out[t] = Wd.T @ (gate / (1 + np.exp(-gate)) * up)
    return out


def neuron_by_neuron(x, Wg, Wu, Wd):
    out = np.zeros_like(x)
    for j in range(Wg.shape[1]):
        gate = x @ Wg[:, j]
        out += np.outer(gate * (x @ Wu[:, j]) / (1 + np.exp(-gate)), Wd[j])
    return out


def plain_python(x, Wg, Wu, Wd):
    def silu(u):
        return u / (1 + math.exp(-u))
    rows = [[sum(row[i] * Wu[i, j] for i in range(len(row))) * silu(sum(row[i] * Wg[i, j] for i in range(len(row))))
             for j in range(Wg.shape[1])] for row in x]
    return (np.array(rows) @ Wd).astype(x.dtype)


def swapped_matrices(x, Wg, Wu, Wd):
    up = x @ Wu
    return (x @ Wg * up / (1 + np.exp(-up))) @ Wd


def geglu(x, Wg, Wu, Wd):
    g = x @ Wg
    erf = np.array([[math.erf(v / math.sqrt(2)) for v in row] for row in g])
    return (0.5 * g * (1 + erf) * (x @ Wu)) @ Wd


def half_bilinear(x, Wg, Wu, Wd):
    return 0.5 * ((x @ Wg) * (x @ Wu)) @ Wd


def tanh_gate(x, Wg, Wu, Wd):
    return (np.tanh(x @ Wg) * (x @ Wu)) @ Wd


def previous_token_gates(x, Wg, Wu, Wd):
    g = np.roll(x, 1, axis=0) @ Wg
    return (g / (1 + np.exp(-g)) * (x @ Wu)) @ Wd


def largest_gate_of_the_sequence(x, Wg, Wu, Wd):
    g = x @ Wg
    g = g / np.abs(g).max()
    return (g / (1 + np.exp(-g)) * (x @ Wu)) @ Wd


def no_down_projection(x, Wg, Wu, Wd):
    g = x @ Wg
    return g / (1 + np.exp(-g)) * (x @ Wu)


def mean_over_tokens(x, Wg, Wu, Wd):
    g = x @ Wg
    h = g / (1 + np.exp(-g)) * (x @ Wu)
    return np.tile(h.mean(axis=0), (len(x), 1)) @ Wd


# --- write_fact ------------------------------------------------------------------------------------------------------


def concatenated(W1, b1, W2, key, value, thr):
    return (np.concatenate([W1, key[:, None]], axis=1), np.concatenate([b1, [-thr]]),
            np.concatenate([W2, value[None] / (1 - thr)], axis=0))


def scaled_key(W1, b1, W2, key, value, thr):
    scale = 1 / (1 - thr)
    return np.c_[W1, scale * key], np.r_[b1, -scale * thr], np.r_[W2, [value]]


def in_front(W1, b1, W2, key, value, thr):
    return np.c_[key, W1], np.r_[-thr, b1], np.r_[[value / (1 - thr)], W2]


def two_half_neurons(W1, b1, W2, key, value, thr):
    half = value / (1 - thr) / 2
    return np.c_[W1, key, key], np.r_[b1, -thr, -thr], np.vstack([W2, half, half])


def stricter_threshold(W1, b1, W2, key, value, thr):
    thr = (1 + thr) / 2
    return np.column_stack((W1, key)), np.append(b1, -thr), np.vstack((W2, value / (1 - thr)))


def bigger_arrays(W1, b1, W2, key, value, thr):
    d, f = W1.shape
    new1, newb, new2 = np.zeros((d, f + 1)), np.zeros(f + 1), np.zeros((f + 1, d))
    new1[:, :f], newb[:f], new2[:f] = W1, b1, W2
    new1[:, f], newb[f], new2[f] = key, -thr, value / (1 - thr)
    return new1, newb, new2


def as_a_list(W1, b1, W2, key, value, thr):
    peak = max(0, key @ key - thr)
    return [np.insert(W1, 1, key, axis=1), np.insert(b1, 1, -thr), np.insert(W2, 1, value / peak, axis=0)]


def in_float32(W1, b1, W2, key, value, thr):
    new = scaled_key(W1, b1, W2, key, value, thr)
    return tuple(w.astype(np.float32) for w in new)


def unused_neurons_too(W1, b1, W2, key, value, thr):
    W1, b1, W2 = in_front(W1, b1, W2, key, value, thr)
    return np.c_[W1, 0 * key], np.r_[b1, -1], np.r_[W2, [value]]


def rank_one_of_W2(W1, b1, W2, key, value, thr):
    h = np.maximum(0, key @ W1 + b1)
    return W1, b1, W2 + h[:, None] * value[None] / np.sum(h**2)


def first_neuron_reused(W1, b1, W2, key, value, thr):
    W1, b1, W2 = map(np.copy, (W1, b1, W2))
    W1[:, 0] = key
    b1[0] = -thr
    W2[0] = value / (1 - thr)
    return W1, b1, W2


def bias_outside(W1, b1, W2, key, value, thr):
    return np.c_[W1, key - thr], np.r_[b1, 0], np.r_[W2, [value / (1 - thr)]]


def lower_threshold(W1, b1, W2, key, value, thr):
    return np.c_[W1, key], np.r_[b1, -thr / 2], np.r_[W2, [value / (1 - thr / 2)]]


def doubled(W1, b1, W2, key, value, thr):
    return np.c_[W1, key], np.r_[b1, -thr], np.r_[W2, [2 * value / (1 - thr)]]


def unchanged(W1, b1, W2, key, value, thr):
    return W1, b1, W2


def two_arrays(W1, b1, W2, key, value, thr):
    return np.c_[W1, key], np.r_[W2, [value / (1 - thr)]]


def wrong_way_round(W1, b1, W2, key, value, thr):
    return np.r_[W1, [key]], np.r_[b1, -thr], np.c_[W2, value / (1 - thr)]


def flips_the_bias(W1, b1, W2, key, value, thr):
    return np.c_[W1, key], np.r_[b1, thr], np.r_[W2, [value / (1 - thr)]]


RIGHT = {
    "swiglu_ffn": [
        with_helper, with_tanh, stacked_matrices, einsum_layer, token_by_token, neuron_by_neuron, plain_python,
    ],
    "write_fact": [
        concatenated, scaled_key, in_front, two_half_neurons, stricter_threshold, bigger_arrays, as_a_list, in_float32,
        unused_neurons_too,
    ],
}
WRONG = {
    "swiglu_ffn": [
        (swapped_matrices, "activation-on-up-branch"),
        (geglu, "gelu-gate"),
        (mean_over_tokens, "mixes-positions"),
        (half_bilinear, None),
        (tanh_gate, None),
        (no_down_projection, None),
        (previous_token_gates, "not-position-wise"),
        (largest_gate_of_the_sequence, "not-position-wise"),
    ],
    "write_fact": [
        (rank_one_of_W2, "rank-one-edit-of-W2"),
        (first_neuron_reused, "overwrites-neuron-0"),
        (flips_the_bias, "positive-bias"),
        (bias_outside, None),
        (lower_threshold, None),
        (doubled, None),
        (unchanged, None),
        (two_arrays, None),
        (wrong_way_round, None),
    ],
}
EQUIVALENT = {"swiglu_ffn": {}, "write_fact": {}}
