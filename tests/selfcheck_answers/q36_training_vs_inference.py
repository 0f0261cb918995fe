"""Answers to the exercises of question 36, written as learners write them.

RIGHT: {exercise: functions that must pass}. WRONG: {exercise: [(function, name of its misconception or property, or
None where no name fits)]}. EQUIVALENT: {exercise: {mutated line of the reference: why it computes the same}}.
"""
import math

import numpy as np

# --- cached_step -----------------------------------------------------------------------------------------------------


def head_by_head(x_t, P, n_heads, cache):
    K, V = cache
    hd = x_t.size // n_heads
    keys, values, outs = [], [], []
    for h in range(n_heads):
        own = slice(h * hd, (h + 1) * hd)
        q, k, v = (x_t @ P[name][:, own] for name in ("q", "k", "v"))
        keys.append(np.vstack([K[h], k]))
        values.append(np.vstack([V[h], v]))
        a = np.exp(keys[-1] @ q / np.sqrt(hd))
        outs.append(a / a.sum() @ values[-1])
    return np.concatenate(outs) @ P["o"], (np.stack(keys), np.stack(values))


def einsum(x_t, P, n_heads, cache):
    q, k, v = np.einsum("d,nde->ne", x_t, np.stack([P["q"], P["k"], P["v"]])).reshape(3, n_heads, -1)
    K = np.concatenate((cache[0], k[:, None]), 1)
    V = np.concatenate((cache[1], v[:, None]), 1)
    s = np.einsum("hc,htc->ht", q, K) / math.sqrt(q.shape[1])
    s = np.exp(s - s.max(axis=1, keepdims=True))
    y = np.einsum("ht,htc->hc", s / s.sum(axis=1, keepdims=True), V)
    return y.ravel() @ P["o"], (K, V)


def preallocated(x_t, P, n_heads, cache):
    H, t, hd = cache[0].shape
    K, V = (np.empty((H, t + 1, hd), old.dtype) for old in cache)
    K[:, :t], V[:, :t] = cache
    K[:, t], V[:, t] = (x_t @ P["k"]).reshape(H, hd), (x_t @ P["v"]).reshape(H, hd)
    scores = (K @ (x_t @ P["q"]).reshape(H, hd, 1))[..., 0] * hd**-0.5
    p = np.exp(scores - scores.max())
    p /= p.sum(-1)[:, None]
    return (p[:, None] @ V).flatten() @ P["o"], (K, V)


def plain_python(x_t, P, n_heads, cache):
    d = len(x_t)
    hd = d // n_heads
    project = {n: [sum(x_t[i] * P[n][i, j] for i in range(d)) for j in range(d)] for n in "qkv"}
    K, V = (old.tolist() for old in cache)
    joined = []
    for h in range(n_heads):
        q, k, v = (project[n][h * hd:(h + 1) * hd] for n in "qkv")
        K[h].append(k)
        V[h].append(v)
        scores = [sum(a * b for a, b in zip(q, key)) / math.sqrt(hd) for key in K[h]]
        weights = [math.exp(s - max(scores)) for s in scores]
        joined += [sum(w * value[c] for w, value in zip(weights, V[h])) / sum(weights) for c in range(hd)]
    y = np.array([sum(joined[i] * P["o"][i, j] for i in range(d)) for j in range(d)])
    return y, (np.array(K), np.array(V))


def scaled_query_as_list(x_t, P, n_heads, cache):
    x = x_t[None]
    heads = [np.stack(np.split(x @ P[n], n_heads, axis=-1)) for n in "qkv"]
    q = heads[0] / np.sqrt(heads[0].shape[-1])
    K, V = (np.append(old, new, axis=1) for old, new in zip(cache, heads[1:]))
    logits = q @ np.swapaxes(K, 1, 2)
    a = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    return [np.hstack(list((a @ V)[:, 0])) @ P["o"], [K, V]]


def full_attention_again(x_t, P, n_heads, cache):
    hd = len(x_t) // n_heads
    q, k, v = (np.matmul(x_t, P[n]).reshape(n_heads, hd) for n in "qkv")
    K, V = np.insert(cache[0], cache[0].shape[1], k, axis=1), np.insert(cache[1], cache[1].shape[1], v, axis=1)
    out = np.zeros((n_heads, hd), x_t.dtype)
    for h in range(n_heads):
        logp = K[h] @ q[h] / hd**0.5
        logp = logp - np.log(np.sum(np.exp(logp)))
        out[h] = np.exp(logp) @ V[h]
    return np.dot(out.reshape(len(x_t)), P["o"]), (K, V)


def attends_before_appending(x_t, P, n_heads, cache):  # a crash on the empty cache
    K, V = cache
    q, k, v = ((x_t @ P[n]).reshape(n_heads, 1, -1) for n in "qkv")
    s = q @ K.mT / np.sqrt(q.shape[-1])
    a = np.exp(s - s.max(-1, keepdims=True))
    y = (a / a.sum(-1, keepdims=True) @ V).ravel() @ P["o"]
    return y, (np.concatenate([K, k], 1), np.concatenate([V, v], 1))


def root_of_d(x_t, P, n_heads, cache):
    K = np.concatenate([cache[0], (x_t @ P["k"]).reshape(n_heads, 1, -1)], 1)
    V = np.concatenate([cache[1], (x_t @ P["v"]).reshape(n_heads, 1, -1)], 1)
    a = np.exp((x_t @ P["q"]).reshape(n_heads, 1, -1) @ K.mT / np.sqrt(x_t.shape[-1]))
    return (a / a.sum(-1, keepdims=True) @ V).reshape(-1) @ P["o"], (K, V)


def heads_dealt_out(x_t, P, n_heads, cache):
    q, k, v = ((x_t @ P[n]).reshape(-1, n_heads).T[:, None] for n in "qkv")
    K, V = np.concatenate([cache[0], k], 1), np.concatenate([cache[1], v], 1)
    a = np.exp(q @ K.mT / np.sqrt(q.shape[-1]))
    return (a / a.sum(-1, keepdims=True) @ V)[:, 0].T.ravel() @ P["o"], (K, V)


def without_heads_softmaxed(x_t, P, n_heads, cache):
    y, new = full_attention_again(x_t, P, n_heads, cache)
    s = (x_t @ P["q"]).reshape(n_heads, 1, -1) @ new[0].mT / np.sqrt(len(x_t) // n_heads)
    a = np.exp(s) / np.exp(s).sum(0)
    return (a @ new[1]).reshape(-1) @ P["o"], new


def negates_then_restores_nothing(x_t, P, n_heads, cache):  # right result, but the caller's cache is spoiled
    y, new = full_attention_again(x_t, P, n_heads, cache)
    cache[0][:] = 0
    return y, new


def forgets_the_oldest(x_t, P, n_heads, cache):
    y, (K, V) = full_attention_again(x_t, P, n_heads, tuple(old[:, -2:] for old in cache))
    _, new = full_attention_again(x_t, P, n_heads, cache)
    return y, new


def token_prepended(x_t, P, n_heads, cache):  # the output is right: attention knows no order
    y, (K, V) = full_attention_again(x_t, P, n_heads, cache)
    return y, (np.roll(K, 1, axis=1), np.roll(V, 1, axis=1))


def output_alone(x_t, P, n_heads, cache):
    return full_attention_again(x_t, P, n_heads, cache)[0]


# --- budget ----------------------------------------------------------------------------------------------------------


def by_name(N, D, L, n_heads, n_kv_heads, head_dim, ctx, batch, kv_bytes):
    forward = 2 * N
    backward = 2 * forward
    weights, gradients, master, moments = 2 * N, 2 * N, 4 * N, 8 * N
    return dict(
        train_flops=(forward + backward) * D, flops_per_token=forward,
        train_state_bytes=weights + gradients + master + moments, weight_bytes=weights,
        kv_cache_bytes=batch * ctx * L * (n_kv_heads * head_dim) * 2 * kv_bytes,
        crossover_tokens=(forward + backward) * D / forward,
    )


def in_floats(N, D, L, n_heads, n_kv_heads, head_dim, ctx, batch, kv_bytes):
    keys = float(L) * n_kv_heads * head_dim * ctx * batch
    out = {"crossover_tokens": 3.0 * D, "train_flops": 6.0 * N * D, "flops_per_token": 2.0 * N}
    out.update(train_state_bytes=16.0 * N, weight_bytes=2.0 * N, kv_cache_bytes=(keys + keys) * kv_bytes)
    return out


def with_numpy(N, D, L, n_heads, n_kv_heads, head_dim, ctx, batch, kv_bytes):
    train = np.float64(N) * D * 6
    return {"train_flops": train, "flops_per_token": np.multiply(2, N), "train_state_bytes": np.sum([2, 2, 4, 4, 4]) * N,
            "weight_bytes": np.float64(2 * N), "crossover_tokens": train / (2 * N),
            "kv_cache_bytes": np.prod(np.array([2, L, n_kv_heads, head_dim, ctx, batch, kv_bytes], float))}


def from_the_group(N, D, L, n_heads, n_kv_heads, head_dim, ctx, batch, kv_bytes):
    group = n_heads // n_kv_heads
    full = 2 * L * n_heads * head_dim * ctx * batch * kv_bytes
    return {"weight_bytes": N * 16 // 8, "train_state_bytes": N * (16 + 16 + 3 * 32) // 8, "kv_cache_bytes": full / group,
            "flops_per_token": N + N, "train_flops": 3 * (N + N) * D, "crossover_tokens": D + D + D}


def layer_by_layer(N, D, L, n_heads, n_kv_heads, head_dim, ctx, batch, kv_bytes):
    cache = 0
    for _ in range(L):
        for _ in ("K", "V"):
            cache += batch * n_kv_heads * ctx * head_dim * kv_bytes
    keys = ["train_flops", "flops_per_token", "train_state_bytes", "weight_bytes", "kv_cache_bytes", "crossover_tokens"]
    return dict(zip(keys, [6 * N * D, 2 * N, 16 * N, 2 * N, cache, 3 * D]))



def two_n_d(N, D, L, n_heads, n_kv_heads, head_dim, ctx, batch, kv_bytes):
    out = by_name(N, D, L, n_heads, n_kv_heads, head_dim, ctx, batch, kv_bytes)
    out["train_flops"] = 2 * N * D
    out["crossover_tokens"] = out["train_flops"] / out["flops_per_token"]
    return out


def all_query_heads(N, D, L, n_heads, n_kv_heads, head_dim, ctx, batch, kv_bytes):
    return by_name(N, D, L, n_heads, n_heads, head_dim, ctx, batch, kv_bytes)


def two_bytes(N, D, L, n_heads, n_kv_heads, head_dim, ctx, batch, kv_bytes):
    return by_name(N, D, L, n_heads, n_kv_heads, head_dim, ctx, batch, 2)


def no_layers(N, D, L, n_heads, n_kv_heads, head_dim, ctx, batch, kv_bytes):
    return by_name(N, D, 1, n_heads, n_kv_heads, head_dim, ctx, batch, kv_bytes)


def adam_and_weights(N, D, L, n_heads, n_kv_heads, head_dim, ctx, batch, kv_bytes):
    out = in_floats(N, D, L, n_heads, n_kv_heads, head_dim, ctx, batch, kv_bytes)
    return out | {"train_state_bytes": 2 * N + 2 * N + 4 * N + 4 * N}


def head_width_forgotten(N, D, L, n_heads, n_kv_heads, head_dim, ctx, batch, kv_bytes):
    return by_name(N, D, L, n_heads, n_kv_heads, 1, ctx, batch, kv_bytes)


def two_mistakes(N, D, L, n_heads, n_kv_heads, head_dim, ctx, batch, kv_bytes):
    return two_n_d(N, D, 1, n_heads, n_kv_heads, head_dim, ctx, batch, kv_bytes)


def a_key_missing(N, D, L, n_heads, n_kv_heads, head_dim, ctx, batch, kv_bytes):
    out = by_name(N, D, L, n_heads, n_kv_heads, head_dim, ctx, batch, kv_bytes)
    del out["crossover_tokens"]
    return out


def a_tuple(N, D, L, n_heads, n_kv_heads, head_dim, ctx, batch, kv_bytes):
    return tuple(by_name(N, D, L, n_heads, n_kv_heads, head_dim, ctx, batch, kv_bytes).values())


RIGHT = {
    "cached_step": [head_by_head, einsum, preallocated, plain_python, scaled_query_as_list, full_attention_again],
    "budget": [by_name, in_floats, with_numpy, from_the_group, layer_by_layer],
}
WRONG = {
    "cached_step": [
        (attends_before_appending, "excludes-current-token"), (root_of_d, "scale-by-sqrt-d-model"),
        (heads_dealt_out, "heads-interleaved-reshape"), (without_heads_softmaxed, "softmax-across-heads"),
        (forgets_the_oldest, "not-full-attention"),
        (negates_then_restores_nothing, None), (token_prepended, None), (output_alone, None),
    ],
    "budget": [
        (two_n_d, "forward-only"), (all_query_heads, "query-heads"), (two_bytes, "kv-bytes-hard-coded"),
        (no_layers, "one-layer"), (adam_and_weights, "no-master-copy"),
        (head_width_forgotten, None), (two_mistakes, None), (a_key_missing, None), (a_tuple, None),
    ],
}
EQUIVALENT = {"cached_step": {}}
