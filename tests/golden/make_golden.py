"""Golden values for tests/test_transformer.py, from PyTorch autograd in float64.

`python tests/golden/make_golden.py` (needs PyTorch) writes transformer.npz beside this file. The
tests read that file, so they need no PyTorch; where it is installed they also run `reference`,
`encoder_reference` and `adam_reference` again, live.
"""

import sys
from itertools import product
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "chapters"))
from transformer import Config, init

FILE = Path(__file__).with_name("transformer.npz")
SMALL = dict(vocab=7, d=6, layers=2, heads=2, context=6, d_ff=5, dtype=np.float64)
ADAM = dict(lr=0.01, betas=(0.8, 0.95), eps=1e-3)  # an eps large enough to show where it is added
ADAM_STEPS = 4


def cases(tied):
    """{name: Config} over everything a model can be; tied=None alternates, to halve the file."""
    kinds = product(("relu", "gelu", "swiglu"), ("layernorm", "rmsnorm"), ("pre", "post", "none"),
                    (True, False), (1.0, 0.0, 0.6))
    table = {}
    for i, (act, norm, place, causal, skip) in enumerate(kinds):
        one = i % 2 == 0 if tied is None else tied
        name = f"{act} {norm} {place} {'causal' if causal else 'full'} skip={skip} {'tied' if one else 'untied'}"
        table[name] = Config(**SMALL, act=act, norm=norm, place=place, causal=causal, skip=skip, tied=one)
    table["linear"] = Config(**SMALL, act="linear")
    table["pre without final norm"] = Config(**SMALL, final_norm=False)
    table["post with final norm"] = Config(**SMALL, place="post", final_norm=True)
    table["none with final norm"] = Config(**SMALL, place="none", norm="rmsnorm", final_norm=True)
    return table


def encoder_cases():
    """{name: Config} of what nn.TransformerEncoderLayer can be."""
    return {f"encoder norm_first={place == 'pre'} {'causal' if causal else 'full'}":
            Config(**SMALL, act="relu", place=place, causal=causal, final_norm=False)
            for place, causal in product(("pre", "post"), (True, False))}


def parameters(cfg, pool):
    """Parameters filled from stored random numbers, so that no random generator has to stay the same."""
    P, start = {}, 0
    for name, p in init(cfg).items():
        values = 0.5 * pool[start : start + p.size].reshape(p.shape)
        P[name], start = 1 + values if name.endswith("gain") else values, start + p.size
    return P


def torch_parameters(P):
    import torch

    return {name: torch.tensor(p, requires_grad=True) for name, p in P.items()}


def torch_logits(cfg, P, tokens):
    """The model once more, plainly. Returns the logits and the streams."""
    import torch
    import torch.nn.functional as F

    def norm(x, prefix):
        if cfg.norm == "layernorm":
            return F.layer_norm(x, (cfg.d,), P[f"{prefix}_gain"], P[f"{prefix}_bias"])
        return F.rms_norm(x, (cfg.d,), P[f"{prefix}_gain"], eps=1e-5)

    def attention(x, l):
        B, T, d = x.shape
        heads = lambda y: y.view(B, T, cfg.heads, d // cfg.heads).transpose(1, 2)
        q, k, v = (heads(y) for y in (x @ P[f"{l}.W_qkv"] + P[f"{l}.b_qkv"]).split(d, dim=-1))
        o = F.scaled_dot_product_attention(q, k, v, is_causal=cfg.causal)
        return o.transpose(1, 2).reshape(B, T, d) @ P[f"{l}.W_o"] + P[f"{l}.b_o"]

    def feed_forward(x, l):
        u = x @ P[f"{l}.W_up"] + P[f"{l}.b_up"]
        if cfg.act == "swiglu":
            gate, value = u.chunk(2, dim=-1)
            u = F.silu(gate) * value
        elif cfg.act == "gelu":
            u = F.gelu(u, approximate="tanh")
        elif cfg.act == "relu":
            u = F.relu(u)
        return u @ P[f"{l}.W_down"] + P[f"{l}.b_down"]

    tokens = torch.as_tensor(tokens)
    x = P["embed"][tokens] + P["position"][: tokens.shape[1]]
    streams = [x]
    for l in range(cfg.layers):
        for f, prefix in ((attention, f"{l}.attn"), (feed_forward, f"{l}.ffn")):
            if cfg.place == "pre":
                x = cfg.skip * x + f(norm(x, prefix), l)
            elif cfg.place == "post":
                x = norm(cfg.skip * x + f(x, l), prefix)
            else:
                x = cfg.skip * x + f(x, l)
        streams.append(x)
    if cfg.ends_with_norm:
        x = norm(x, "final")
    return x @ (P["embed"] if cfg.tied else P["head"]).T, streams


def reference(cfg, P, tokens, targets):
    """Loss, logits and all gradients: {name: array}."""
    import torch
    import torch.nn.functional as F

    P = torch_parameters(P)
    logits, streams = torch_logits(cfg, P, tokens)
    for x in streams:
        x.retain_grad()
    loss = F.cross_entropy(logits.flatten(0, 1), torch.as_tensor(targets).flatten())
    loss.backward()
    out = {"loss": loss, "logits": logits, "stream gradients": torch.stack([x.grad for x in streams])}
    out |= {f"gradient of {name}": p.grad for name, p in P.items()}
    return {name: value.detach().numpy() for name, value in out.items()}


def encoder_reference(cfg, P, x, dy):
    """Output and all gradients of a stack of nn.TransformerEncoderLayer: {name: array}."""
    import torch
    from torch import nn

    layers = []
    for l in range(cfg.layers):
        layer = nn.TransformerEncoderLayer(cfg.d, cfg.heads, cfg.hidden, dropout=0.0, activation=cfg.act,
                                           batch_first=True, norm_first=cfg.place == "pre", dtype=torch.float64)
        ours = {"self_attn.in_proj_": "qkv", "self_attn.out_proj.": "o", "linear1.": "up", "linear2.": "down"}
        state = {f"{theirs}weight": P[f"{l}.W_{name}"].T for theirs, name in ours.items()}
        state |= {f"{theirs}bias": P[f"{l}.b_{name}"] for theirs, name in ours.items()}
        for i, name in (1, "attn"), (2, "ffn"):
            state |= {f"norm{i}.weight": P[f"{l}.{name}_gain"], f"norm{i}.bias": P[f"{l}.{name}_bias"]}
        layer.load_state_dict({name: torch.tensor(p) for name, p in state.items()})
        layers.append(layer)
    x = torch.tensor(x, requires_grad=True)
    mask = torch.full((x.shape[1],) * 2, -torch.inf, dtype=x.dtype).triu(1) if cfg.causal else None
    y = x
    for layer in layers:
        y = layer(y, src_mask=mask)
    y.backward(torch.tensor(dy))
    out = {"y": y.detach().numpy(), "gradient of x": x.grad.numpy()}
    for l, layer in enumerate(layers):
        g = {name: p.grad.numpy() for name, p in layer.named_parameters()}
        for theirs, name in ours.items():
            out[f"gradient of {l}.W_{name}"] = g[f"{theirs}weight"].T
            out[f"gradient of {l}.b_{name}"] = g[f"{theirs}bias"]
        for i, name in (1, "attn"), (2, "ffn"):
            out[f"gradient of {l}.{name}_gain"] = g[f"norm{i}.weight"]
            out[f"gradient of {l}.{name}_bias"] = g[f"norm{i}.bias"]
    return out


def adam_reference(cfg, P, tokens, targets):
    """The parameters after a few steps of torch.optim.Adam: {name: array}."""
    import torch
    import torch.nn.functional as F

    P = torch_parameters(P)
    adam = torch.optim.Adam(P.values(), **ADAM)
    for _ in range(ADAM_STEPS):
        adam.zero_grad()
        logits = torch_logits(cfg, P, tokens)[0]
        F.cross_entropy(logits.flatten(0, 1), torch.as_tensor(targets).flatten()).backward()
        adam.step()
    return {f"{name} after {ADAM_STEPS} steps": p.detach().numpy() for name, p in P.items()}


def main():
    rng = np.random.default_rng(0)
    pool, x, dy = rng.standard_normal(1500), rng.standard_normal((2, 5, 6)), rng.standard_normal((2, 5, 6))
    tokens, targets = rng.integers(0, 7, (2, 2, 5))
    targets[0, 0] = targets[1, 3] = -100
    golden = dict(pool=pool, x=x, dy=dy, tokens=tokens, targets=targets)
    flat = lambda values: np.concatenate([v.ravel() for v in values.values()])  # a zip entry each would be large
    for name, cfg in cases(tied=None).items():
        golden[name] = flat(reference(cfg, parameters(cfg, pool), tokens, targets))
    for name, cfg in encoder_cases().items():
        golden[name] = flat(encoder_reference(cfg, parameters(cfg, pool), x, dy))
    cfg = Config(**SMALL)
    golden["adam"] = flat(adam_reference(cfg, parameters(cfg, pool), tokens, targets))
    np.savez_compressed(FILE, **golden)


if __name__ == "__main__":
    main()
