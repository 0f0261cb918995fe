"""A small Transformer in NumPy: forward pass, loss, backward pass by hand, Adam, greedy decoding.

It reads from top to bottom: configuration, layers, blocks, model, training, decoding. A function
with a backward pass returns its output and a tape: what `<name>_backward` needs to turn the
gradient of the output into the gradients of the inputs and of the parameters.

Letters in the shape comments: B sequences of T tokens; S tokens attended to (T, plus those in the
KV cache); d the width of the residual stream; H heads, each k = d / H wide; f the width of the
feed-forward layer; V the vocabulary; N = B * T; `...` any leading axes.
"""

from dataclasses import dataclass, field
from math import prod

import numpy as np

IGNORE = -100  # a target with this value does not count


@dataclass(frozen=True)
class Config:
    """A model's shape and kind. Raises ValueError where it makes no sense.

    d_ff: width of the feed-forward layer; None means 4d, and 8d/3 for SwiGLU, whose up-projection
        is twice as wide: about the same number of weights. 0 leaves the layer nothing but its bias.
    act: "relu", "gelu" (the tanh form of GPT-2), "swiglu", or "linear", which is no activation.
    norm: "layernorm" or "rmsnorm".
    place: "pre" x + f(norm(x)), "post" norm(x + f(x)), "none" x + f(x). `skip` multiplies that x.
    final_norm: a norm on the output of the last block; None means only with "pre".
    tied: the embedding is the output matrix too.
    """

    vocab: int
    d: int
    layers: int
    heads: int
    context: int
    d_ff: int | None = None
    act: str = "gelu"
    norm: str = "layernorm"
    place: str = "pre"
    skip: float = 1.0
    causal: bool = True
    tied: bool = True
    final_norm: bool | None = None
    dtype: type = np.float32

    def __post_init__(self):
        for name, known in (("act", ACTIVATIONS), ("norm", NORMS), ("place", ("pre", "post", "none"))):
            if getattr(self, name) not in known:
                raise ValueError(f"{name}={getattr(self, name)!r} is unknown: use one of {', '.join(known)}.")
        if self.heads < 1 or self.d % self.heads:
            raise ValueError(f"d={self.d} does not divide into heads={self.heads}: make d a multiple of heads.")

    # Properties, not defaults filled in: dataclasses.replace(cfg, place="post") stays right.
    @property
    def hidden(self):
        """Width f of the feed-forward layer."""
        default = 8 * self.d // 3 if self.act == "swiglu" else 4 * self.d
        return default if self.d_ff is None else self.d_ff

    @property
    def ends_with_norm(self):
        """Whether a norm follows the last block."""
        return self.place == "pre" if self.final_norm is None else self.final_norm


def init(cfg, seed=0, std=0.02, embed_std=None, out_scale=1.0):
    """Parameters as a flat dict, "embed", "position", "0.W_qkv" and so on, "head" if not tied.

    std: standard deviation of every matrix, as in GPT-2; or "xavier": variance 2 / (rows + columns)
        in the blocks, 1 for the embeddings, 1/d for an untied head (Glorot & Bengio 2010).
    embed_std: overrides it for the token and position embeddings.
    out_scale: multiplies W_o and W_down, which write to the residual stream; GPT-2: (2 * layers)**-0.5.

    W_qkv (d, 3d) holds W_q, W_k and W_v side by side: np.split(W, 3, axis=1), for gradients too.
    With SwiGLU, W_up (d, 2f) holds the gate's matrix and the value's in the same way.
    """
    if isinstance(std, str) and std != "xavier":
        raise ValueError(f'std={std!r} is unknown: give a number or "xavier".')
    rng, d, f, xavier = np.random.default_rng(seed), cfg.d, cfg.hidden, std == "xavier"
    embed_std = embed_std if embed_std is not None else 1.0 if xavier else std
    ups = 2 if cfg.act == "swiglu" else 1

    def normal(rows, cols, std):
        return (rng.standard_normal((rows, cols)) * std).astype(cfg.dtype)

    def weight(rows, cols, parts=1, scale=1.0):  # `parts` matrices side by side
        return normal(rows, parts * cols, scale * ((2 / (rows + cols)) ** 0.5 if xavier else std))

    def norm(prefix):
        fill = {"gain": np.ones, "bias": np.zeros}
        return {f"{prefix}_{n}": fill[n](d, cfg.dtype) for n in NORMS[cfg.norm][2]}

    P = {"embed": normal(cfg.vocab, d, embed_std), "position": normal(cfg.context, d, embed_std)}
    for l in range(cfg.layers):
        block = {"W_qkv": weight(d, d, parts=3), "b_qkv": np.zeros(3 * d, cfg.dtype)}
        block |= {"W_o": weight(d, d, scale=out_scale), "b_o": np.zeros(d, cfg.dtype)}
        block |= {"W_up": weight(d, f, parts=ups), "b_up": np.zeros(ups * f, cfg.dtype)}
        block |= {"W_down": weight(f, d, scale=out_scale), "b_down": np.zeros(d, cfg.dtype)}
        if cfg.place != "none":
            block |= norm("attn") | norm("ffn")
        P |= {f"{l}.{name}": p for name, p in block.items()}
    if cfg.ends_with_norm:
        P |= norm("final")
    if not cfg.tied:
        P["head"] = normal(cfg.vocab, d, d**-0.5 if xavier else std)
    return P


# ---------------------------------------------------------------------------------------- layers


def rows(x):
    """(..., d) -> (N, d), a view: one big matrix product is faster than many small ones."""
    return x.reshape(prod(x.shape[:-1]), x.shape[-1])


def linear(x, W, b):
    """x (..., m), W (m, n), b (n,) -> x W + b (..., n)."""
    y = rows(x) @ W  # (N, n)
    y += b
    return y.reshape(*x.shape[:-1], -1)


def linear_backward(dy, x, W):
    """dy (..., n) -> gradients of x, W and b."""
    dy = rows(dy)  # (N, n)
    return (dy @ W.T).reshape(x.shape), rows(x).T @ dy, dy.sum(0)


def rms_norm(x, gain, eps=1e-5):
    """Divide each token of x (..., d) by its root mean square, times gain (Zhang & Sennrich 2019)."""
    scale = 1 / np.sqrt(np.vecdot(x, x) / x.shape[-1] + eps)[..., None]  # (..., 1)
    unit = x * scale  # (..., d)
    return unit * gain, (unit, scale, gain)


def rms_norm_backward(dy, tape):
    """dy (..., d) -> gradients of x and gain."""
    unit, scale, gain = tape
    dx = dy * gain  # (..., d)
    dx -= unit * (np.vecdot(dx, unit) / dx.shape[-1])[..., None]  # less the part along x
    dx *= scale
    return dx, rows(dy * unit).sum(0)


def layer_norm(x, gain, bias, eps=1e-5):
    """LayerNorm (Ba et al. 2016) of x (..., d): centre each token, then RMSNorm, then add the bias."""
    y, tape = rms_norm(x - x.mean(-1, keepdims=True), gain, eps)
    y += bias
    return y, tape


def layer_norm_backward(dy, tape):
    """dy (..., d) -> gradients of x, gain and bias."""
    dx, dgain = rms_norm_backward(dy, tape)
    dx -= dx.mean(-1, keepdims=True)
    return dx, dgain, rows(dy).sum(0)


NORMS = {
    "layernorm": (layer_norm, layer_norm_backward, ("gain", "bias")),
    "rmsnorm": (rms_norm, rms_norm_backward, ("gain",)),
}


def split_heads(x, heads, parts=1):
    """(B, T, parts * d) -> (parts, B, H, T, k), a view: what is written there lands in x."""
    B, T, width = x.shape
    return x.reshape(B, T, parts, heads, width // parts // heads).transpose(2, 0, 3, 1, 4)


def attention(x, p, heads, causal=True, cache=None):
    """Multi-head self-attention (Vaswani et al. 2017): x (B, T, d) -> (B, T, d).

    p: W_qkv (d, 3d), b_qkv (3d,), W_o (d, d), b_o (d,). cache: the keys and values, (B, H, S - T, k)
    each, of earlier tokens. The tape's "weights" (B, H, T, S) are the attention weights, "kv" the new cache.
    """
    T, d = x.shape[1:]
    qkv = linear(x, p["W_qkv"], p["b_qkv"])  # (B, T, 3d)
    q, k, v = split_heads(qkv, heads, 3)  # (B, H, T, k) each
    q *= (d // heads) ** -0.5  # a float, so float32 stays; scaling q is cheaper than scaling the scores
    if cache is not None:
        k, v = (np.concatenate(old_new, axis=2) for old_new in zip(cache, (k, v)))  # (B, H, S, k)
    a = q @ k.mT  # (B, H, T, S)
    if causal:  # the last query sees every key, the one before it all but the last, ...
        a += np.triu(np.full(a.shape[2:], -np.inf, a.dtype), 1 + a.shape[3] - T)
    a -= a.max(-1, keepdims=True)
    np.exp(a, out=a)
    a /= a.sum(-1, keepdims=True)
    o = np.empty_like(x)  # (B, T, d)
    np.matmul(a, v, out=split_heads(o, heads)[0])
    return linear(o, p["W_o"], p["b_o"]), dict(x=x, qkv=qkv, kv=(k, v), weights=a, o=o)


def attention_backward(dy, p, heads, tape):
    """dy (B, T, d) -> gradients of x and of the parameters (a dict). Not for a pass with a cache."""
    qkv, a, o = tape["qkv"], tape["weights"], tape["o"]
    q, k, v = split_heads(qkv, heads, 3)  # (B, H, T, k) each
    do, dW_o, db_o = linear_backward(dy, o, p["W_o"])  # (B, T, d)
    do, o = split_heads(do, heads)[0], split_heads(o, heads)[0]  # (B, H, T, k)
    ds = do @ v.mT  # (B, H, T, T)
    ds -= np.vecdot(do, o)[..., None]  # which is (a * ds).sum(-1), because o = a v
    ds *= a
    dqkv = np.empty_like(qkv)  # (B, T, 3d)
    dq, dk, dv = split_heads(dqkv, heads, 3)  # (B, H, T, k) each
    np.matmul(ds, k, out=dq)
    np.matmul(ds.mT, q, out=dk)
    np.matmul(a.mT, do, out=dv)
    dq *= q.shape[-1] ** -0.5
    dx, dW_qkv, db_qkv = linear_backward(dqkv, tape["x"], p["W_qkv"])
    return dx, {"W_qkv": dW_qkv, "b_qkv": db_qkv, "W_o": dW_o, "b_o": db_o}


# An activation returns its value and its slope at u (..., f).


def relu(u):
    """max(u, 0)."""
    return np.maximum(u, 0), u > 0


def gelu(u, a=(2 / np.pi) ** 0.5, b=0.044715):
    """u s with s = (1 + tanh(a (u + b u^3))) / 2: the tanh form of Hendrycks & Gimpel 2016."""
    u2 = u * u  # not u**3, which calls pow: 20 times slower
    s = 0.5 + 0.5 * np.tanh(u * (a + a * b * u2))
    h = u * s
    return h, s + h * (1 - s) * (2 * a + 6 * a * b * u2)


def silu(u):
    """u sigmoid(u), also called Swish."""
    s = 0.5 + 0.5 * np.tanh(0.5 * u)  # sigmoid(u) that cannot overflow
    return u * s, s + u * s * (1 - s)


ACTIVATIONS = {"relu": relu, "gelu": gelu, "swiglu": silu, "linear": lambda u: (u, 1.0)}


def feed_forward(x, p, act):
    """Two linear maps with an activation between, token by token: x (..., d) -> (..., d).

    p: W_up (d, f), b_up (f,), W_down (f, d), b_down (d,). With SwiGLU (Shazeer 2020) W_up is (d, 2f)
    and the middle is silu(gate) * value. The tape's "hidden" (..., f) is what W_down reads.
    """
    u, value = linear(x, p["W_up"], p["b_up"]), None  # (..., f), or (..., 2f)
    if act == "swiglu":
        u, value = np.split(u, 2, axis=-1)  # (..., f) each
    h, slope = np.empty_like(u), np.empty_like(u)  # (..., f)
    for i in range(len(u)):  # one sequence at a time: what it makes on the way stays in the CPU's cache
        h[i], slope[i] = ACTIVATIONS[act](u[i])
    hidden = h if value is None else h * value
    return linear(hidden, p["W_down"], p["b_down"]), dict(x=x, hidden=hidden, h=h, slope=slope, value=value)


def feed_forward_backward(dy, p, tape):
    """dy (..., d) -> gradients of x and of the parameters (a dict)."""
    du, dW_down, db_down = linear_backward(dy, tape["hidden"], p["W_down"])  # (..., f)
    if tape["value"] is None:
        du *= tape["slope"]
    else:
        du = np.concatenate((du * tape["value"] * tape["slope"], du * tape["h"]), axis=-1)  # (..., 2f)
    dx, dW_up, db_up = linear_backward(du, tape["x"], p["W_up"])
    return dx, {"W_up": dW_up, "b_up": db_up, "W_down": dW_down, "b_down": db_down}


# ---------------------------------------------------------------------------------------- blocks


def normalise(x, P, prefix, cfg):
    """The norm that cfg asks for, with the parameters that start with prefix."""
    function, _, names = NORMS[cfg.norm]
    return function(x, *(P[f"{prefix}_{n}"] for n in names))


def normalise_backward(dy, prefix, cfg, tape):
    """dy (..., d) -> gradients of x and of the parameters (a dict)."""
    _, function, names = NORMS[cfg.norm]
    dx, *grads = function(dy, tape)
    return dx, {f"{prefix}_{n}": g for n, g in zip(names, grads)}


def sublayer(name, x, p, cfg, cache=None):
    """Attention ("attn") or feed-forward ("ffn") with its skip and its norm: (B, T, d) -> (B, T, d)."""
    u, norm_tape = normalise(x, p, name, cfg) if cfg.place == "pre" else (x, None)
    if name == "attn":
        y, tape = attention(u, p, cfg.heads, cfg.causal, cache)
    else:
        y, tape = feed_forward(u, p, cfg.act)
    y += cfg.skip * x
    if cfg.place == "post":
        y, norm_tape = normalise(y, p, name, cfg)
    return y, (tape, norm_tape)


def sublayer_backward(name, dy, p, cfg, tape):
    """dy (B, T, d) -> gradients of x and of the parameters (a dict)."""
    (tape, norm_tape), norm_grads = tape, {}
    if cfg.place == "post":
        dy, norm_grads = normalise_backward(dy, name, cfg, norm_tape)
    if name == "attn":
        dx, grads = attention_backward(dy, p, cfg.heads, tape)
    else:
        dx, grads = feed_forward_backward(dy, p, tape)
    if cfg.place == "pre":
        dx, norm_grads = normalise_backward(dx, name, cfg, norm_tape)
    dx += cfg.skip * dy
    return dx, grads | norm_grads


@dataclass
class Tape:
    """What a pass leaves behind. streams[l] (B, T, d) enters block l; streams[-1] leaves the last one."""

    streams: list
    blocks: list = field(default_factory=list)  # per block {"attn": (tape, norm's tape), "ffn": ...}
    final: tuple | None = None  # the final norm's tape
    tokens: np.ndarray | None = None  # (B, T)
    y: np.ndarray | None = None  # (B, T, d), what the output matrix reads

    @property
    def attention(self):
        """Attention weights of every block, (B, H, T, S) each."""
        return [block["attn"][0]["weights"] for block in self.blocks]

    @property
    def hidden(self):
        """Hidden activations of every feed-forward layer, (B, T, f) each."""
        return [block["ffn"][0]["hidden"] for block in self.blocks]

    @property
    def cache(self):
        """The KV cache: of every block a pair of keys and values, (B, H, S, k) each."""
        return [block["attn"][0]["kv"] for block in self.blocks]


def block_params(P, l):
    """The parameters of block l under their short names: {"W_qkv": P["0.W_qkv"], ...}."""
    start = f"{l}."
    return {name[len(start):]: p for name, p in P.items() if name.startswith(start)}


def stack_forward(P, cfg, x, cache=None):
    """The blocks, and the final norm if there is one: residual stream x (B, T, d) -> (B, T, d), tape."""
    tape = Tape([x])
    for l in range(cfg.layers):
        p, block = block_params(P, l), {}
        x, block["attn"] = sublayer("attn", x, p, cfg, cache and cache[l])
        x, block["ffn"] = sublayer("ffn", x, p, cfg)
        tape.streams.append(x)
        tape.blocks.append(block)
    if cfg.ends_with_norm:
        x, tape.final = normalise(x, P, "final", cfg)
    return x, tape


def stack_backward(P, cfg, dy, tape):
    """dy (B, T, d) -> gradients of tape.streams (a list, so [l] is block l's input) and of the parameters."""
    dx, grads = normalise_backward(dy, "final", cfg, tape.final) if cfg.ends_with_norm else (dy, {})
    dxs = [dx]
    for l in reversed(range(cfg.layers)):
        p, block = block_params(P, l), tape.blocks[l]
        dx, ffn_grads = sublayer_backward("ffn", dx, p, cfg, block["ffn"])
        dx, attn_grads = sublayer_backward("attn", dx, p, cfg, block["attn"])
        grads |= {f"{l}.{name}": g for name, g in (attn_grads | ffn_grads).items()}
        dxs.append(dx)
    return dxs[::-1], grads


# ----------------------------------------------------------------------------------------- model


def check_ids(ids, cfg, what):
    """Raises ValueError if an id is not a number of the vocabulary."""
    if ids.dtype.kind not in "iu" or ids.size and not 0 <= ids.min() <= ids.max() < cfg.vocab:
        raise ValueError(f"{what} must be whole numbers from 0 to {cfg.vocab - 1} (vocab={cfg.vocab}).")


def as_tokens(tokens, cfg, others):
    """Tokens (B, T) as an array. Raises ValueError if they are not, or do not fit the context with others."""
    tokens = np.asarray(tokens)
    if tokens.ndim != 2 or not tokens.size:
        raise ValueError(f"tokens must be (batch, time), not {tokens.shape}: give a list of non-empty sequences.")
    check_ids(tokens, cfg, "tokens")
    total = tokens.shape[1] + others
    if total > cfg.context:
        raise ValueError(f"{total} tokens do not fit context={cfg.context}: use fewer tokens or a larger context.")
    return tokens


def forward(P, cfg, tokens, cache=None):
    """tokens (B, T) -> logits (B, T, V), tape. cache: tape.cache of the pass over what comes before.

    Raises ValueError if tokens are not (B, T) ids of the vocabulary, or do not fit the context.
    """
    past = cache[0][0].shape[2] if cache else 0
    tokens = as_tokens(tokens, cfg, past)
    x = P["embed"][tokens] + P["position"][past : past + tokens.shape[1]]  # (B, T, d)
    y, tape = stack_forward(P, cfg, x, cache)
    tape.tokens, tape.y = tokens, y
    W = P["embed" if cfg.tied else "head"]  # (V, d)
    return (rows(y) @ W.T).reshape(*tokens.shape, len(W)), tape


def backward(P, cfg, dlogits, tape):
    """dlogits (B, T, V) -> gradients of tape.streams (a list) and of the parameters (a dict)."""
    head = "embed" if cfg.tied else "head"
    dz = rows(dlogits)  # (N, V)
    dxs, grads = stack_backward(P, cfg, (dz @ P[head]).reshape(tape.y.shape), tape)
    grads["embed"], grads["position"] = np.zeros_like(P["embed"]), np.zeros_like(P["position"])
    grads[head] = dz.T @ rows(tape.y)  # (V, d)
    # Each token adds its gradient to its embedding: np.add.at, but faster on tokens sorted by id.
    order = tape.tokens.argsort(axis=None, kind="stable")  # (N,)
    ids, first = np.unique(tape.tokens.ravel()[order], return_index=True)
    grads["embed"][ids] += np.add.reduceat(rows(dxs[0])[order], first)
    grads["position"][: tape.tokens.shape[1]] = dxs[0].sum(0)  # (T, d)
    return dxs, grads


def cross_entropy(logits, targets):
    """Mean over the targets (not -100) of -log softmax(logits)[target] in nats, and its gradient.

    logits (..., V), targets (...). Raises ValueError if every target is -100.
    """
    targets = np.ravel(targets)
    counted = np.flatnonzero(targets != IGNORE)  # (n,)
    if not counted.size:
        raise ValueError("Every target is -100 (ignored), so there is nothing to average: give at least one.")
    z = rows(logits)[counted]  # (n, V)
    z -= z.max(-1, keepdims=True)
    at_target = np.arange(counted.size), targets[counted]
    p = np.exp(z)  # (n, V)
    total = p.sum(-1)  # (n,)
    loss = (np.log(total) - z[at_target]).mean()
    p /= total[:, None]
    p[at_target] -= 1  # softmax - one-hot
    dz = np.zeros((targets.size, z.shape[1]), z.dtype)  # (N, V)
    dz[counted] = p / counted.size
    return float(loss), dz.reshape(logits.shape)


# -------------------------------------------------------------------------- training and decoding


def loss_and_grads(P, cfg, tokens, targets):
    """Loss in nats per target, and its gradient by every parameter. tokens, targets (B, T); -100: ignored."""
    logits, tape = forward(P, cfg, tokens)
    targets = np.asarray(targets)
    if targets.shape != logits.shape[:-1]:
        raise ValueError(f"targets {targets.shape} must have the shape of tokens {logits.shape[:-1]}: one for each.")
    check_ids(targets[targets != IGNORE], cfg, "targets other than -100")
    loss, dlogits = cross_entropy(logits, targets)
    return loss, backward(P, cfg, dlogits, tape)[1]


def adam(P, grads, state, lr=1e-3, betas=(0.9, 0.999), eps=1e-8):
    """One step of Adam (Kingma & Ba 2015) on P, in place, for every name in grads.

    state: {} before the first step; it keeps the count of steps and the two moments of each gradient.
    """
    (b1, b2), t = betas, state.get("t", 0) + 1
    state["t"] = t
    for name, g in grads.items():
        if name not in state:
            state[name] = np.zeros_like(g), np.zeros_like(g)
        m, v = state[name]
        m += (1 - b1) * (g - m)
        v += (1 - b2) * (g * g - v)
        P[name] -= lr / (1 - b1**t) * m / (np.sqrt(v / (1 - b2**t)) + eps)


def decode_step(P, cfg, tokens, cache=None):
    """Append tokens (B, T) to those in the cache -> logits (B, V) after the last one, new cache.

    The first call has no cache and takes the whole prompt; every later call takes one token.
    Raises ValueError without a causal mask.
    """
    if not cfg.causal:
        raise ValueError("A KV cache needs causal=True: otherwise every new token changes the old keys and values.")
    logits, tape = forward(P, cfg, tokens, cache)
    return logits[:, -1], tape.cache


def generate(P, cfg, prompt, n, use_cache=True):
    """Greedy decoding: prompt (B, T) -> prompt and n more tokens (B, T + n). With or without a KV cache."""
    ids = new = as_tokens(prompt, cfg, n - 1)  # the last new token is not fed back
    cache = None
    for _ in range(n):
        if use_cache:
            logits, cache = decode_step(P, cfg, new, cache)  # (B, V)
        else:
            logits = forward(P, cfg, ids)[0][:, -1]  # (B, V)
        new = logits.argmax(-1)[:, None]  # (B, 1)
        ids = np.concatenate((ids, new), axis=1)
    return ids
