"""Exercises 36-A and 36-B: one decoding step with a KV cache, and what training and inference cost."""
import numpy as np

from selfcheck import Exercise, Misconception, Property

# --- 36-A -----------------------------------------------------------------------------------------------------------


def cached_step(x_t, P, n_heads, cache):
    hd = x_t.size // n_heads
    q, k, v = ((x_t @ P[name]).reshape(n_heads, 1, hd) for name in "qkv")  # (H, 1, hd) each
    K, V = np.concatenate([cache[0], k], axis=1), np.concatenate([cache[1], v], axis=1)  # (H, t + 1, hd)
    weights = softmax(q @ K.mT / hd**0.5)  # (H, 1, t + 1)
    return (weights @ V).ravel() @ P["o"], (K, V)


def softmax(scores, axis=-1):
    weights = np.exp(scores - scores.max(axis, keepdims=True))
    return weights / weights.sum(axis, keepdims=True)


def cached_step_probes(rng):
    def step(d, n_heads, t):
        P = {name: 1.5 * rng.standard_normal((d, d)) / d**0.5 for name in "qkvo"}
        cache = tuple(1.5 * rng.standard_normal((n_heads, t, d // n_heads)) for _ in "KV")
        return 1.5 * rng.standard_normal(d), P, n_heads, cache

    eye = np.eye(2)
    small = {"q": eye, "k": 2 * eye, "v": eye[::-1].copy(), "o": np.array([[1.0, 2], [3, 5]])}
    past = np.array([[[1.0, 0]]]), np.array([[[0.0, 3]]])
    return {
        "x_t [1, 2], one head, one token in the cache": (np.array([1.0, 2]), small, 1, past),
        "2 heads, an empty cache (t = 0)": step(8, 2, 0),
        "2 heads of width 4, 3 tokens in the cache": step(8, 2, 3),
        "4 heads of width 2, 5 tokens in the cache": step(8, 4, 5),
        "as many heads as their width, 4 and 4, 4 tokens in the cache": step(16, 4, 4),
        "one head of width 8, 6 tokens in the cache": step(8, 1, 6),
        "2 heads of width 6, 20 tokens in the cache": step(12, 2, 20),
    }


def split(x, n_heads):
    return x.reshape(n_heads, 1, -1)


def append(old, new):
    return np.concatenate([old, new], axis=1)


def root_of_width(q, n_heads):
    return q.shape[-1] ** 0.5


def step_with(project=lambda x, W: x @ W, split=split, scale=root_of_width, normalise=softmax, names="qkv",
              attended=lambda old, new: append(old, new), kept=lambda old, new: append(old, new),
              join=lambda heads: heads.reshape(-1), out=lambda y, W: y @ W):
    """A decoding step with another formula for some of its parts."""
    def wrong(x_t, P, n_heads, cache):
        q, k, v = (split(project(x_t, P[name]), n_heads) for name in names)
        K, V = attended(cache[0], k), attended(cache[1], v)
        weights = normalise(q @ K.mT / scale(q, n_heads))
        y = out(join(weights @ V), P["o"]) if K.shape[1] else np.zeros_like(x_t)
        return y, (kept(cache[0], k), kept(cache[1], v))
    return wrong


def keys_and_values_swapped(x_t, P, n_heads, cache):
    y, (V, K) = cached_step(x_t, P | {"k": P["v"], "v": P["k"]}, n_heads, cache[::-1])
    return y, (K, V)


def cache_returned_swapped(x_t, P, n_heads, cache):
    y, (K, V) = cached_step(x_t, P, n_heads, cache)
    return y, (V, K)


def caches_queries(attend):
    def wrong(x_t, P, n_heads, cache):
        y, (K, V) = cached_step(x_t, P, n_heads, cache)
        queries = P | {"k": P["q"]}
        y_q, (Q, _) = cached_step(x_t, queries, n_heads, cache)
        return y_q if attend else y, (Q, V)
    return wrong


def scales_cache_in_place(x_t, P, n_heads, cache):
    K, V = cache
    scale = (len(x_t) // n_heads) ** 0.5
    K /= scale
    q, k, v = (split(x_t @ P[name], n_heads) for name in "qkv")
    K, V = append(K, k / scale), append(V, v)
    return (softmax(q @ K.mT) @ V).reshape(-1) @ P["o"], (K, V)


def writes_into_cache(shift):
    def wrong(x_t, P, n_heads, cache):
        K, V = cache
        q, k, v = (split(x_t @ P[name], n_heads) for name in "qkv")
        for old, new in ((K, k), (V, v)):
            if shift:
                old[:, :-1] = old[:, 1:].copy()
            old[:, -1:] = new if old.shape[1] else old[:, -1:]
        if not K.shape[1]:
            K, V = k, v
        return (softmax(q @ K.mT / root_of_width(q, n_heads)) @ V).reshape(-1) @ P["o"], (K, V)
    return wrong


def old_only(old, new):
    return old


def new_only(old, new):
    return new


def window(old, new):
    return append(old[:, 1:], new)


def twice(old, new):
    return append(append(old, new), new)


def interleaved(x, n_heads):
    return np.ascontiguousarray(x.reshape(-1, n_heads).T)[:, None]  # head h takes columns h, h + H, ...


def joined_interleaved(heads):
    return heads[:, 0].T.reshape(-1)


def full_attention_agrees(fn):
    """Steps from an empty cache against causal attention over the whole sequence."""
    rng, n_heads, T, d = np.random.default_rng(5), 2, 6, 8
    P = {name: 1.5 * rng.standard_normal((d, d)) / d**0.5 for name in "qkvo"}
    x, cache, rows = rng.standard_normal((T, d)), (np.zeros((n_heads, 0, d // n_heads)),) * 2, []
    for x_t in x:
        y, cache = fn(x_t, P, n_heads, cache)
        cache = tuple(cache)
        rows.append(y)
    q, k, v = ((x @ P[name]).reshape(T, n_heads, -1).swapaxes(0, 1) for name in "qkv")  # (H, T, hd) each
    scores = q @ k.mT / (d / n_heads) ** 0.5 + np.triu(np.full((T, T), -np.inf), 1)  # (H, T, T)
    full = (softmax(scores) @ v).swapaxes(0, 1).reshape(T, d) @ P["o"]
    return np.allclose(rows, full, rtol=1e-3, atol=1e-3)


CACHED_STEP = Exercise(
    cached_step,
    cached_step_probes,
    [
        Misconception(
            "excludes-current-token",
            "Your query sees the old tokens only. In causal attention a token attends to itself as well: "
            "append its key and value before you compute the scores.",
            [step_with(attended=old_only, normalise=lambda s: softmax(s) if s.size else s)],
        ),
        Misconception(
            "ignores-cache",
            "Your new token attends to itself alone, so its output does not depend on the text so far. "
            "The scores need the keys of all earlier tokens, which are in the cache.",
            [step_with(attended=new_only), step_with(attended=new_only, kept=new_only)],
        ),
        Misconception(
            "scale-by-sqrt-d-model",
            "You divide the scores by the root of d. Each score is a dot product over one head, "
            "so it is the head's width that counts.",
            [step_with(scale=lambda q, n_heads: q.size**0.5)],
        ),
        Misconception(
            "no-scaling",
            "Your scores are not scaled. A dot product over hd features grows like the root of hd, "
            "and without the division the softmax gets too sharp.",
            [step_with(scale=lambda q, n_heads: 1)],
        ),
        Misconception(
            "scale-without-sqrt",
            "You divide the scores by the head's width itself. Their spread grows like its root, "
            "so dividing by the width makes the softmax too flat.",
            [step_with(scale=lambda q, n_heads: q.shape[-1])],
        ),
        Misconception(
            "heads-interleaved-reshape",
            "Your reshape deals the features out to the heads in turn. Head h owns the columns h * hd to (h + 1) * hd, side by side: "
            "look at the order of the two axes in your reshape, and again when you join the heads.",
            [step_with(split=interleaved, join=joined_interleaved), step_with(split=interleaved), step_with(join=joined_interleaved)],
        ),
        Misconception(
            "weights-transposed",
            "You multiply with the transposed matrices. The convention here is x @ W, with the token as a row: P['q'] @ x is another product, "
            "and for square matrices no shape complains.",
            [step_with(project=lambda x, W: W @ x, out=lambda y, W: W @ y), step_with(project=lambda x, W: W @ x),
             step_with(out=lambda y, W: W @ y)],
        ),
        Misconception(
            "k-v-swapped",
            "Keys and values have changed places. The scores come from the keys, the output is the weighted sum of the values, "
            "and the cache is (K, V) in that order.",
            [step_with(names="qvk"), cache_returned_swapped, keys_and_values_swapped],
        ),
        Misconception(
            "no-output-projection",
            "You return the joined heads without P['o']. That last matrix mixes what the heads have found; "
            "without it no head can write to another's features.",
            [step_with(out=lambda y, W: y)],
        ),
        Misconception(
            "appends-twice",
            "The new key and value are in your cache twice, so the next step counts this token double. "
            "Each token is appended once: the cache grows by one row per step.",
            [step_with(kept=twice), step_with(attended=twice, kept=twice)],
        ),
        Misconception(
            "no-softmax",
            "Your attention weights are not a softmax of the scores. They must be positive and sum to 1 over all tokens, "
            "for each head.",
            [step_with(normalise=lambda s: s), step_with(normalise=np.exp), step_with(normalise=lambda s: s / s.sum(-1, keepdims=True))],
        ),
        Misconception(
            "softmax-across-heads",
            "Your softmax runs over the heads or over the whole array. Each head distributes its own attention: "
            "its weights over the tokens sum to 1.",
            [step_with(normalise=lambda s: softmax(s, 0)), step_with(normalise=lambda s: softmax(s, None))],
        ),
        Misconception(
            "caches-queries",
            "Your cache holds the query where the key belongs. A query is used once, by its own token; "
            "what later tokens need are keys and values.",
            [caches_queries(False), caches_queries(True)],
        ),
        Misconception(
            "drops-old-entries",
            "Your new cache has lost entries of the old one. Nothing may be dropped: the next token attends to all of them, "
            "so the cache grows from t to t + 1.",
            [step_with(kept=new_only), step_with(kept=window), step_with(attended=window, kept=window)],
        ),
        Misconception(
            "cache-not-extended",
            "You return the cache as it came. The new key and value must be in it, or the next step will not see this token.",
            [step_with(kept=old_only)],
        ),
        Misconception(
            "mutates-cache-in-place",
            "You write into the given cache. The caller may still need it, to try another continuation from the same prefix: "
            "build new arrays, for example with `np.concatenate`.",
            [scales_cache_in_place, writes_into_cache(False), writes_into_cache(True)],
        ),
    ],
    [
        "Only the new token needs a query. It needs a key and a value too, and those go into the cache first.",
        "A vector of d features becomes (n_heads, 1, hd) by one reshape; the heads lie side by side in it.",
        "Use `np.concatenate` along the token axis: it makes a new array, and works for an empty cache as well.",
        "Scores (n_heads, 1, t + 1), softmax over the last axis, times the values, heads joined to (d,), then P['o'].",
    ],
    properties=[
        Property(
            "not-full-attention",
            "Step by step from an empty cache, your outputs are not the rows of full causal attention over the same tokens. "
            "A cache must not change the result, only the work.",
            full_attention_agrees,
        ),
    ],
    returns="y, cache",
)

# --- 36-B -----------------------------------------------------------------------------------------------------------


def budget(N, D, L, n_heads, n_kv_heads, head_dim, ctx, batch, kv_bytes):
    return {
        "train_flops": 6 * N * D,
        "flops_per_token": 2 * N,
        "train_state_bytes": 16 * N,
        "weight_bytes": 2 * N,
        "kv_cache_bytes": 2 * L * n_kv_heads * head_dim * ctx * batch * kv_bytes,
        "crossover_tokens": 3 * D,
    }


def budget_probes(rng):
    odd = [int(n) for n in rng.integers(5, 50, 4) * 2 + 1]
    return {  # not 2 bytes everywhere: there "K only" and "numbers, not bytes" are the same
        "N = 1000, D = 100, L = 5, 6 heads, 2 of them for K and V, head_dim 8, ctx 10, batch 3, 1 byte":
            (1000, 100, 5, 6, 2, 8, 10, 3, 1),
        "the same with 4 bytes": (1000, 100, 5, 6, 2, 8, 10, 3, 4),
        "Llama 3 8B, 15T tokens, ctx 8192, batch 16, 2 bytes": (8.03e9, 15e12, 32, 32, 8, 128, 8192, 16, 2),
        "Llama 2 7B, 2T tokens, every head for K and V, batch 1, 1 byte": (6.74e9, 2e12, 32, 32, 32, 128, 4096, 1, 1),
        "another model, 4 bytes": (odd[0] * 1000, odd[1] * 1000, odd[2], 12, 4, 64, odd[3], 7, 4),
    }


def scaled(**factors):
    """A budget with some entries multiplied, by a number or a function of the exercise's parameters."""
    def wrong(N, D, L, n_heads, n_kv_heads, head_dim, ctx, batch, kv_bytes):
        given = locals()
        right = budget(N, D, L, n_heads, n_kv_heads, head_dim, ctx, batch, kv_bytes)
        factor = {key: f(**{name: given[name] for name in BUDGET_NAMES}) if callable(f) else f for key, f in factors.items()}
        return {key: value * factor.get(key, 1) for key, value in right.items()}
    return wrong


BUDGET_NAMES = budget.__code__.co_varnames[:budget.__code__.co_argcount]

BUDGET = Exercise(
    budget,
    budget_probes,
    [
        Misconception(
            "forward-only",
            "Your training FLOPs are those of the forward passes alone. The backward pass forms two products for each one of the forward pass: "
            "a gradient for the input and one for the weights.",
            [scaled(train_flops=1 / 3), scaled(train_flops=1 / 3, crossover_tokens=1 / 3)],
        ),
        Misconception(
            "backward-equals-forward",
            "You count the backward pass like one forward pass. It forms two products for each one of the forward pass, "
            "so a training step is three forward passes.",
            [scaled(train_flops=2 / 3), scaled(train_flops=2 / 3, crossover_tokens=2 / 3)],
        ),
        Misconception(
            "no-multiply-add",
            "You count one FLOP per weight and token. Each weight takes part in a multiplication and an addition, which are two.",
            [scaled(train_flops=1 / 2, flops_per_token=1 / 2), scaled(train_flops=1 / 2), scaled(flops_per_token=1 / 2),
             scaled(train_flops=1 / 2, crossover_tokens=1 / 2), scaled(flops_per_token=1 / 2, crossover_tokens=2)],
        ),
        Misconception(
            "inference-with-backward",
            "Your inference FLOPs include a backward pass. Nothing is learned at inference: it is the forward pass alone.",
            [scaled(flops_per_token=3), scaled(flops_per_token=3, crossover_tokens=1 / 3)],
        ),
        Misconception(
            "weights-only",
            "Your training state is the weights alone. Training holds the gradients, a float32 copy of the weights and Adam's two moments as well.",
            [scaled(train_state_bytes=2 / 16)],
        ),
        Misconception(
            "no-optimizer",
            "Your training state has weights and gradients, and no optimizer. Adam keeps two float32 moments, and mixed precision a float32 copy of the weights.",
            [scaled(train_state_bytes=4 / 16)],
        ),
        Misconception(
            "all-sixteen-bit",
            "Your training state keeps everything in 16 bits. Small updates would be rounded away: the copy of the weights that Adam changes, "
            "and its two moments, are float32.",
            [scaled(train_state_bytes=8 / 16)],
        ),
        Misconception(
            "no-master-copy",
            "Your training state is 4 bytes a parameter short. Count again: 16-bit weights and gradients, "
            "a float32 copy of the weights, and two float32 moments.",
            [scaled(train_state_bytes=12 / 16)],
        ),
        Misconception(
            "no-gradients",
            "Your training state leaves the gradients out: 2 bytes a parameter, held from the backward pass until the optimizer has used them.",
            [scaled(train_state_bytes=14 / 16)],
        ),
        Misconception(
            "float32-weights",
            "You serve the weights in float32. The exercise serves them in bf16, at 2 bytes each.",
            [scaled(weight_bytes=2)],
        ),
        Misconception(
            "query-heads",
            "Your KV cache counts the query heads. With grouped-query attention several query heads share one pair of keys and values, "
            "and only those are cached.",
            [scaled(kv_cache_bytes=lambda n_heads, n_kv_heads, **_: n_heads / n_kv_heads)],
        ),
        Misconception(
            "one-layer",
            "Your KV cache is that of one layer. Every layer has keys and values of its own.",
            [scaled(kv_cache_bytes=lambda L, **_: 1 / L)],
        ),
        Misconception(
            "k-only",
            "Your KV cache counts keys or values, not both. It holds one of each per token, layer and head.",
            [scaled(kv_cache_bytes=1 / 2)],
        ),
        Misconception(
            "no-batch",
            "Your KV cache is that of one sequence. Each sequence of the batch has its own: caches cannot be shared, as weights are.",
            [scaled(kv_cache_bytes=lambda batch, **_: 1 / batch)],
        ),
        Misconception(
            "one-token",
            "Your KV cache holds a single token. It keeps the keys and values of all `ctx` tokens of a sequence.",
            [scaled(kv_cache_bytes=lambda ctx, **_: 1 / ctx)],
        ),
        Misconception(
            "elements-not-bytes",
            "Your KV cache is a count of numbers, not of bytes. Each number takes `kv_bytes` bytes.",
            [scaled(kv_cache_bytes=lambda kv_bytes, **_: 1 / kv_bytes)],
        ),
        Misconception(
            "kv-bytes-hard-coded",
            "Your KV cache always takes 2 bytes a number. It may be kept in another precision than the weights: use `kv_bytes`.",
            [scaled(kv_cache_bytes=lambda kv_bytes, **_: 2 / kv_bytes)],
        ),
        Misconception(
            "crossover-at-d",
            "Your crossover is at D tokens. A served token takes a third of the FLOPs of a trained one, so it takes more of them: divide the two counts.",
            [scaled(crossover_tokens=1 / 3)],
        ),
    ],
    [
        "One token through one weight: a multiply and an add. The backward pass does that twice more.",
        "Mixed precision with Adam: 16-bit weights, 16-bit gradients, and three float32 numbers per parameter. Which three?",
        "The cache holds a key and a value: for every layer, every KV head, every token, every sequence. One parameter of the function is not needed.",
        "The crossover is the training FLOPs divided by the FLOPs of one served token.",
    ],
)

EXERCISES = [CACHED_STEP, BUDGET]
