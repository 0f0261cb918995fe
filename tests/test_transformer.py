"""chapters/transformer.py does what it says: against PyTorch, against itself, and on bad input.

PyTorch's values are stored (golden/make_golden.py made them); where it is installed it also runs live.
"""

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import transformer as tf
from golden import make_golden as mg

GOLDEN = dict(np.load(mg.FILE))
CASES, ENCODERS = mg.cases(tied=None), mg.encoder_cases()
TOKENS, TARGETS, X, DY = (GOLDEN[name] for name in ("tokens", "targets", "x", "dy"))
TINY = tf.Config(vocab=11, d=8, layers=2, heads=2, context=12)
KINDS = list(product(tf.ACTIVATIONS, tf.NORMS, ("pre", "post", "none")))


def ours(cfg):
    """The values that mg.reference has, under the same names."""
    P = mg.parameters(cfg, GOLDEN["pool"])
    logits, tape = tf.forward(P, cfg, TOKENS)
    loss, dlogits = tf.cross_entropy(logits, TARGETS)
    dxs, grads = tf.backward(P, cfg, dlogits, tape)
    assert grads.keys() == P.keys()
    out = {"loss": np.array(loss), "logits": logits, "stream gradients": np.stack(dxs)}
    return out | {f"gradient of {name}": grads[name] for name in P}


def our_encoder(cfg):
    P = mg.parameters(cfg, GOLDEN["pool"])
    y, tape = tf.stack_forward(P, cfg, X)
    dxs, grads = tf.stack_backward(P, cfg, DY, tape)
    out = {"y": y, "gradient of x": dxs[0]}
    return out | {f"gradient of {name}": grads[name] for name in P if name[0].isdigit()}


def our_adam():
    cfg = tf.Config(**mg.SMALL)
    P, state = mg.parameters(cfg, GOLDEN["pool"]), {}
    for _ in range(mg.ADAM_STEPS):
        tf.adam(P, tf.loss_and_grads(P, cfg, TOKENS, TARGETS)[1], state, **mg.ADAM)
    return {f"{name} after {mg.ADAM_STEPS} steps": p for name, p in P.items()}


def assert_close(mine, theirs, tol=1e-10):
    """Every array agrees, relative to its largest entry. An array that is 0 but for rounding may be small."""
    if isinstance(theirs, np.ndarray):  # flat, as stored
        assert theirs.size == sum(a.size for a in mine.values())
        cuts = np.cumsum([a.size for a in mine.values()])[:-1]
        theirs = {name: part.reshape(mine[name].shape) for name, part in zip(mine, np.split(theirs, cuts))}
    assert mine.keys() == theirs.keys()
    errors = {name: np.abs(a - theirs[name]).max() / np.abs(theirs[name]).max() for name, a in mine.items()}
    worst = max(errors, key=errors.get)
    assert errors[worst] < tol, f"{worst}: relative error {errors[worst]:.1e}"


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_stored_pytorch(name):
    assert_close(ours(CASES[name]), GOLDEN[name])


@pytest.mark.parametrize("name", ENCODERS)
def test_agrees_with_stored_encoder_layer(name):
    assert_close(our_encoder(ENCODERS[name]), GOLDEN[name])


def test_adam_agrees_with_stored_pytorch():
    assert_close(our_adam(), GOLDEN["adam"])


def test_golden_file_is_small_and_spans_every_kind():
    assert mg.FILE.stat().st_size < 1_000_000
    seen = {(c.act, c.norm, c.place, c.causal, c.skip) for c in CASES.values()}
    acts, places = ("relu", "gelu", "swiglu"), ("pre", "post", "none")
    assert seen >= set(product(acts, tf.NORMS, places, (True, False), (1, 0, 0.6)))
    assert {c.tied for c in CASES.values()} == {True, False}


def test_agrees_with_live_pytorch():
    pytest.importorskip("torch")
    for tied in (True, False):
        for cfg in mg.cases(tied).values():
            P = mg.parameters(cfg, GOLDEN["pool"])
            assert_close(ours(cfg), mg.reference(cfg, P, TOKENS, TARGETS))
    for cfg in ENCODERS.values():
        theirs = mg.encoder_reference(cfg, mg.parameters(cfg, GOLDEN["pool"]), X, DY)
        assert_close(our_encoder(cfg), theirs)
    cfg = tf.Config(**mg.SMALL)
    assert_close(our_adam(), mg.adam_reference(cfg, mg.parameters(cfg, GOLDEN["pool"]), TOKENS, TARGETS))


def test_gradients_agree_with_finite_differences():
    """No PyTorch here at all: the slope of the loss along a random direction, for every parameter."""
    cfg = tf.Config(**mg.SMALL, act="swiglu", tied=False)
    P, rng = mg.parameters(cfg, GOLDEN["pool"]), np.random.default_rng(0)
    grads = tf.loss_and_grads(P, cfg, TOKENS, TARGETS)[1]
    for name, p in P.items():
        along, eps = rng.standard_normal(p.shape), 1e-5
        up, down = (tf.loss_and_grads(P | {name: p + e * along}, cfg, TOKENS, TARGETS)[0] for e in (eps, -eps))
        assert (up - down) / (2 * eps) == pytest.approx((grads[name] * along).sum(), rel=1e-6, abs=1e-9), name


def tiny(**changes):
    """A small float32 model with its parameters and tokens (3, 7)."""
    cfg = replace(TINY, **changes)
    return cfg, tf.init(cfg, seed=1, std=0.3), np.random.default_rng(2).integers(0, cfg.vocab, (3, 7))


@pytest.mark.parametrize("dtype", (np.float32, np.float64))
@pytest.mark.parametrize("act, norm, place", KINDS)
def test_dtype_stays(act, norm, place, dtype):
    # NumPy's own scalars are float64: one that slips into a product would promote every float32 after it.
    cfg, P, tokens = tiny(act=act, norm=norm, place=place, dtype=dtype, skip=np.sqrt(0.5), tied=False)
    logits, tape = tf.forward(P, cfg, tokens)
    loss, dlogits = tf.cross_entropy(logits, tokens)
    dxs, grads = tf.backward(P, cfg, dlogits, tape)
    state = {}
    tf.adam(P, grads, state, lr=np.float64(0.01))
    del state["t"]
    cached, cache = tf.decode_step(P, cfg, tokens[:, -1:], tape.cache)
    arrays = [*P.values(), *grads.values(), *dxs, *tape.streams, *tape.attention, *tape.hidden]
    arrays += [logits, dlogits, cached, *(kv for pair in cache for kv in pair)]
    arrays += [moment for pair in state.values() for moment in pair]
    assert {a.dtype for a in arrays} == {np.dtype(dtype)}
    assert type(loss) is float


@pytest.mark.parametrize("act, norm, place", KINDS)
def test_cached_decoding_equals_uncached(act, norm, place):
    cfg, P, tokens = tiny(act=act, norm=norm, place=place, tied=False)
    ids = tf.generate(P, cfg, tokens, 5)
    assert ids.shape == (3, 12)
    assert np.array_equal(ids[:, :7], tokens)
    assert np.array_equal(ids, tf.generate(P, cfg, tokens, 5, use_cache=False))
    assert len(np.unique(ids[:, 7:])) > 1  # a model that always says the same would prove little
    whole = tf.forward(P, cfg, ids)[0]
    assert np.array_equal(whole[:, 6:11].argmax(-1), ids[:, 7:])
    cache = None
    for start, end in ((0, 4), (4, 5), (5, 9), (9, 12)):  # prompt, one token, several tokens, the rest
        logits, cache = tf.decode_step(P, cfg, ids[:, start:end], cache)
        assert np.allclose(logits, whole[:, end - 1], atol=1e-4, rtol=0)
        assert [kv.shape for block in cache for kv in block] == [(3, 2, end, 4)] * 4


def test_ignored_targets_do_not_count():
    logits = np.random.default_rng(0).standard_normal((2, 3, 5))
    targets = np.array([[1, -100, 4], [-100, 0, -100]])
    loss, dlogits = tf.cross_entropy(logits, targets)
    alone = [tf.cross_entropy(logits[i, j], targets[i, j])[0] for i, j in ((0, 0), (0, 2), (1, 1))]
    assert loss == pytest.approx(np.mean(alone))
    assert not dlogits[targets == -100].any()
    assert np.abs(dlogits[targets != -100]).min() > 0


def test_loss_is_finite_on_extreme_logits():
    logits = np.array([[1e4, -1e4, 0]], np.float32)
    loss, dlogits = tf.cross_entropy(logits, [1])
    assert loss == pytest.approx(2e4)
    assert np.allclose(dlogits, [[1, -1, 0]])


def test_attention_is_finite_on_extreme_scores():
    cfg, P, tokens = tiny()
    P["0.W_qkv"] = P["0.W_qkv"] * 1e4
    logits, tape = tf.forward(P, cfg, tokens)
    assert np.isfinite(logits).all()
    assert np.allclose(tape.attention[0].sum(-1), 1)


@pytest.mark.parametrize("causal", (True, False))
def test_tape(causal):
    cfg, P, tokens = tiny(causal=causal, act="swiglu", d_ff=5)
    x = P["embed"][tokens] + P["position"][:7]
    y, tape = tf.stack_forward(P, cfg, x)
    assert tape.streams[0] is x
    assert [s.shape for s in tape.streams] == [(3, 7, 8)] * 3
    assert np.array_equal(tape.streams[1], tf.stack_forward(P, replace(cfg, layers=1, final_norm=False), x)[0])
    assert np.array_equal(y, tf.layer_norm(tape.streams[-1], P["final_gain"], P["final_bias"])[0])
    assert [h.shape for h in tape.hidden] == [(3, 7, 5)] * 2
    for weights in tape.attention:
        assert weights.shape == (3, 2, 7, 7)
        assert np.allclose(weights.sum(-1), 1)
        assert (weights[..., np.triu_indices(7, 1)[0], np.triu_indices(7, 1)[1]] == 0).all() == causal


def test_memory_layout_does_not_matter():
    cfg, P, tokens = tiny(place="none")
    x = np.random.default_rng(0).standard_normal((3, 7, 8)).astype(np.float32)
    turned = x.transpose(2, 1, 0).copy().transpose(2, 1, 0)  # the same numbers, stored the other way round
    y, tape = tf.stack_forward(P, cfg, x)
    y_turned, tape_turned = tf.stack_forward(P, cfg, turned)
    assert np.allclose(y, y_turned, rtol=1e-5)
    grads, grads_turned = (tf.stack_backward(P, cfg, dy, t)[1] for dy, t in ((x, tape), (turned, tape_turned)))
    assert all(np.allclose(grads[name], grads_turned[name], rtol=1e-4, atol=1e-4) for name in grads)
    assert np.allclose(tf.cross_entropy(x, tokens % 8)[1], tf.cross_entropy(turned, tokens % 8)[1])


@pytest.mark.parametrize("act, norm, place", KINDS)
def test_inputs_and_tape_are_left_alone(act, norm, place):
    cfg, P, tokens = tiny(act=act, norm=norm, place=place)
    before, asked = {name: p.copy() for name, p in P.items()}, tokens.copy()
    logits, tape = tf.forward(P, cfg, tokens)
    dlogits = np.ones_like(logits)
    streams = [s.copy() for s in tape.streams]
    _, first = tf.backward(P, cfg, dlogits, tape)
    _, second = tf.backward(P, cfg, dlogits, tape)
    assert all(np.array_equal(first[name], second[name]) for name in P)
    assert all(np.array_equal(p, before[name]) for name, p in P.items())
    assert all(np.array_equal(a, b) for a, b in zip(streams, tape.streams))
    assert np.array_equal(tokens, asked) and (dlogits == 1).all()


def test_feed_forward_works_token_by_token_on_any_shape():
    cfg, P, _ = tiny(act="swiglu", dtype=np.float64)
    p, x = tf.block_params(P, 1), np.random.default_rng(0).standard_normal((3, 7, 8))
    y = tf.feed_forward(x, p, "swiglu")[0]
    assert np.allclose(tf.feed_forward(x.reshape(21, 8), p, "swiglu")[0], y.reshape(21, 8))
    assert np.allclose(tf.feed_forward(x[1, 4], p, "swiglu")[0], y[1, 4])


def test_feed_forward_of_width_zero_gives_its_bias():
    cfg, P, tokens = tiny(d_ff=0, place="none")
    P["0.b_down"] = P["0.b_down"] + 3
    y = tf.feed_forward(np.ones((2, 3, 8), np.float32), tf.block_params(P, 0), cfg.act)[0]
    assert (y == 3).all()
    assert tf.loss_and_grads(P, cfg, tokens, tokens)[1].keys() == P.keys()


def test_init_spreads_as_documented():
    big = tf.Config(vocab=200, d=96, layers=2, heads=4, context=150, act="swiglu", tied=False)
    P = tf.init(big, std=0.1, embed_std=0.5, out_scale=0.25)
    expected = {"embed": 0.5, "position": 0.5, "head": 0.1}
    expected |= {f"1.{name}": 0.1 for name in ("W_qkv", "W_up")} | {f"1.{name}": 0.025 for name in ("W_o", "W_down")}
    assert {name: P[name].std() for name in expected} == pytest.approx(expected, rel=0.03)
    X = tf.init(big, std="xavier", out_scale=0.25)
    wide = (2 / (96 + 256)) ** 0.5
    expected = {"embed": 1, "position": 1, "head": 96**-0.5, "0.W_qkv": 96**-0.5, "0.W_o": 0.25 * 96**-0.5,
                "0.W_up": wide, "0.W_down": 0.25 * wide}
    assert {name: X[name].std() for name in expected} == pytest.approx(expected, rel=0.03)
    assert P["0.W_up"].shape == (96, 512) and P["0.W_down"].shape == (256, 96)  # f = 8d/3
    assert (P["0.attn_gain"] == 1).all() and not P["0.attn_bias"].any() and not P["1.b_qkv"].any()


def test_init_is_reproducible_and_the_same_in_both_precisions():
    a, b, other = tf.init(TINY, 3), tf.init(replace(TINY, dtype=np.float64), 3), tf.init(TINY, 4)
    assert all(np.array_equal(a[name], b[name].astype(np.float32)) for name in a)
    assert not np.array_equal(a["embed"], other["embed"])


def test_replace_keeps_defaults_alive():
    assert replace(TINY, place="post").ends_with_norm is False
    assert replace(TINY, d=16).hidden == 64
    assert replace(TINY, d=16, d_ff=7).hidden == 7


P = tf.init(TINY)
BAD = {
    "act='tanh' is unknown: use one of relu, gelu, swiglu, linear": lambda: replace(TINY, act="tanh"),
    "norm='batchnorm' is unknown: use one of layernorm, rmsnorm": lambda: replace(TINY, norm="batchnorm"),
    "place='middle' is unknown: use one of pre, post, none": lambda: replace(TINY, place="middle"),
    "d=8 does not divide into heads=3: make d a multiple": lambda: replace(TINY, heads=3),
    "d=8 does not divide into heads=0: make d a multiple": lambda: replace(TINY, heads=0),
    "std='glorot' is unknown": lambda: tf.init(TINY, std="glorot"),
    "13 tokens do not fit context=12: use fewer": lambda: tf.forward(P, TINY, np.zeros((1, 13), int)),
    "tokens do not fit context=12: use fewer": lambda: tf.generate({}, TINY, np.zeros((1, 10), int), 4),  # at once
    "tokens must be whole numbers from 0 to 10": lambda: tf.forward(P, TINY, [[11]]),
    "tokens must be whole numbers from 0 to 10 ": lambda: tf.forward(P, TINY, [[-1]]),
    "tokens must be whole numbers from 0 to 10  ": lambda: tf.forward(P, TINY, [[0.5]]),
    "tokens must be .batch, time., not .2,.: give a list": lambda: tf.forward(P, TINY, [1, 2]),
    "give a list of non-empty sequences": lambda: tf.generate(P, TINY, [1, 2], 3),
    "tokens must be .batch, time., not .1, 0.: give a list": lambda: tf.generate(P, TINY, [[]], 3),
    "targets other than -100 must be whole numbers from 0 to 10": lambda: tf.loss_and_grads(P, TINY, [[1]], [[-1]]),
    "targets .1, 2. must have the shape of tokens .1, 1.: one": lambda: tf.loss_and_grads(P, TINY, [[1]], [[1, 2]]),
    "Every target is -100": lambda: tf.loss_and_grads(P, TINY, [[1, 2]], [[-100, -100]]),
    "needs causal=True": lambda: tf.generate(P, replace(TINY, causal=False), [[1]], 2),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_gives_one_clear_sentence(message):
    with pytest.raises(ValueError, match=message.strip()) as caught:
        BAD[message]()
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "tools")
    import bench

    monkeypatch.setattr(bench, "SIZES", [(8, 4, 2)])
    monkeypatch.setattr(bench, "TURNS", 1)
    return bench


def test_bench_without_pytorch_prints_our_time_and_what_to_install(bench, monkeypatch, capsys):
    monkeypatch.setattr(bench, "torch", None)
    bench.main()
    out = capsys.readouterr().out
    assert "-m pip install torch" in out
    *size, ms = out.splitlines()[-1].split()
    assert size == ["8", "4", "2"] and float(ms) > 0


def test_bench_runs_the_same_model_in_pytorch(bench, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr(bench, "LR", 0.03)  # fast enough to reach activations where one GELU differs from another
    cfg = tf.Config(bench.VOCAB, 16, bench.LAYERS, bench.HEADS, 8)
    tokens, targets = np.random.default_rng(0).integers(0, bench.VOCAB, (2, 4, 8))
    ours = bench.numpy_step(cfg, tokens, targets)
    theirs = [bench.torch_step(cfg, tokens, targets, fused) for fused in (True, False)]
    for _ in range(10):
        loss = ours()
        assert [step() for step in theirs] == pytest.approx([loss, loss], abs=5e-6)
    assert loss < 2  # it learns: the first loss is ln 40 = 3.7
