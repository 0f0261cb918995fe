"""Train-step time of chapters/transformer.py against the same model in PyTorch eager, one thread each.

A step is forward, loss, backward and Adam. The models take turns, a few steps each, so that a busy
machine slows them alike; the ratio is the median over the turns. PyTorch runs attention in both
usual ways, and the faster one at each size is the opponent.
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import sys
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "chapters"))
import transformer

try:
    import torch
    import torch.nn.functional as F
    from torch import nn
except ImportError:
    torch = None

SIZES = [(32, 24, 16), (48, 32, 16), (64, 32, 32), (128, 64, 16)]  # d, T, B
LAYERS, HEADS, VOCAB, LR = 2, 4, 40, 1e-3
SEED, TURNS, STEPS = 0, 25, 6


def numpy_step(cfg, tokens, targets):
    P, state = transformer.init(cfg, SEED), {}

    def step():
        loss, grads = transformer.loss_and_grads(P, cfg, tokens, targets)
        transformer.adam(P, grads, state, LR)
        return loss

    return step


def torch_step(cfg, tokens, targets, fused_attention):
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.qkv, self.out = nn.Linear(cfg.d, 3 * cfg.d), nn.Linear(cfg.d, cfg.d)
            self.up, self.down = nn.Linear(cfg.d, cfg.hidden), nn.Linear(cfg.hidden, cfg.d)
            self.norm1, self.norm2 = nn.LayerNorm(cfg.d), nn.LayerNorm(cfg.d)

        def attention(self, x):
            B, T, d = x.shape
            q, k, v = (t.view(B, T, cfg.heads, -1).transpose(1, 2) for t in self.qkv(x).split(d, -1))
            if fused_attention:
                o = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            else:
                scores = q @ k.transpose(-1, -2) * (d // cfg.heads) ** -0.5
                o = scores.masked_fill(future[:T, :T], -torch.inf).softmax(-1) @ v
            return self.out(o.transpose(1, 2).reshape(B, T, d))

        def forward(self, x):
            x = x + self.attention(self.norm1(x))
            return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.position = nn.Embedding(cfg.vocab, cfg.d), nn.Embedding(cfg.context, cfg.d)
            self.blocks, self.norm = nn.Sequential(*(Block() for _ in range(cfg.layers))), nn.LayerNorm(cfg.d)

        def forward(self, tokens):
            x = self.embed(tokens) + self.position.weight[: tokens.shape[1]]
            return self.norm(self.blocks(x)) @ self.embed.weight.T

    future = torch.ones(cfg.context, cfg.context, dtype=torch.bool).triu(1)
    model = Model()
    # The same start, so that the losses can be compared. Both keep their parameters in the same order.
    for theirs, (name, p) in zip(model.parameters(), transformer.init(cfg, SEED).items(), strict=True):
        theirs.data.copy_(torch.from_numpy(p.T if ".W_" in name else p))
    adam = torch.optim.Adam(model.parameters(), lr=LR)
    tokens, targets = torch.from_numpy(tokens), torch.from_numpy(targets)

    def step():
        adam.zero_grad()
        loss = F.cross_entropy(model(tokens).flatten(0, 1), targets.flatten())
        loss.backward()
        adam.step()
        return loss.item()

    return step


def milliseconds(steppers):
    """{name: [ms per step of every turn]}; the models take turns."""
    for step in steppers.values():
        for _ in range(STEPS):  # warm up
            step()
    times = {name: [] for name in steppers}
    for _ in range(TURNS):
        for name, step in steppers.items():
            start = perf_counter()
            for _ in range(STEPS):
                step()
            times[name].append((perf_counter() - start) / STEPS * 1e3)
    return times


def main():
    if torch:
        torch.set_num_threads(1)
        print(f"NumPy {np.__version__}, PyTorch {torch.__version__}; ms per train step, one thread each")
    else:
        print(f"NumPy {np.__version__}; ms per train step. `{sys.executable} -m pip install torch` adds PyTorch's.")
    print("  d   T   B   NumPy" + ("   PyTorch   NumPy/PyTorch   attention of PyTorch" if torch else ""))
    for d, T, B in SIZES:
        cfg = transformer.Config(VOCAB, d, LAYERS, HEADS, T)
        text = np.random.default_rng(0).integers(0, VOCAB, (B, T + 1))
        tokens, targets = text[:, :-1].copy(), text[:, 1:].copy()
        steppers = {"numpy": numpy_step(cfg, tokens, targets)}
        if torch:
            steppers["fused"] = torch_step(cfg, tokens, targets, True)
            steppers["explicit"] = torch_step(cfg, tokens, targets, False)
        times = milliseconds(steppers)
        ours = times.pop("numpy")
        line = f"{d:3d} {T:3d} {B:3d} {median(ours):7.2f}"
        if torch:
            name = min(times, key=lambda name: median(times[name]))
            ratio = median(a / b for a, b in zip(ours, times[name]))
            line += f" {median(times[name]):9.2f} {ratio:15.2f}   {name}"
        print(line, flush=True)


if __name__ == "__main__":
    main()
