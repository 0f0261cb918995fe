"""Exercises 29-A, 29-B and 29-C: layer normalization, its backward pass, and where it sits in a block."""
import numpy as np

from selfcheck import Exercise, Misconception, Property

# --- 29-A -----------------------------------------------------------------------------------------------------------


def layer_norm(x, gamma, beta, eps=1e-5):
    mean = x.mean(-1, keepdims=True)  # (..., 1)
    variance = ((x - mean) ** 2).mean(-1, keepdims=True)  # (..., 1)
    return gamma * ((x - mean) / np.sqrt(variance + eps)) + beta


def layer_norm_probes(rng):
    gamma, beta = rng.permutation(np.linspace(0.5, 3, 8)), rng.standard_normal(8)
    tokens = rng.standard_normal((4, 8)) * [[1], [2], [0.5], [3]] + [[0], [1], [-2], [5]]
    sequences = 2 + 3 * rng.standard_normal((2, 3, 8))
    sequences[1, 2] = 0.004 * rng.standard_normal(8)
    # Steps of 1/8 keep every sum exact in float32, so that the offset hurts E[x^2] - E[x]^2 alone.
    offset = (4096 + rng.integers(-16, 17, (4, 8)) / 8).astype(np.float32)
    return {
        "one token [1, 2, 3, 4], gamma 1, beta 0": (np.array([1.0, 2, 3, 4]), np.ones(4), np.zeros(4)),
        "one token [0, 0, 4, 4], gamma [2, 3, 4, 5], beta 10": (
            np.array([0.0, 0, 4, 4]), np.array([2.0, 3, 4, 5]), np.full(4, 10.0)),
        "a token whose features are all 2, so its variance is 0": (np.full((1, 8), 2.0), gamma, beta),
        "a token with a tiny spread, standard deviation .004": (0.004 * rng.standard_normal((1, 8)), gamma, beta),
        "a large eps, .5": (tokens, gamma, beta, 0.5),
        "4 tokens (4, 8), every row on its own scale": (tokens, gamma, beta),
        "as many tokens as features (8, 8)": (np.vstack([tokens, 3 - 2 * tokens]), gamma, beta),
        "a batch of sequences (2, 3, 8), one token with a tiny spread": (sequences, gamma, beta),
        "a 4-D input (2, 2, 3, 8)": (1 + 2 * rng.standard_normal((2, 2, 3, 8)), gamma, beta),
        "float32 features near 4096": (offset, gamma.astype(np.float32), beta.astype(np.float32)),
    }


def norm_over(axis, keepdims=(True, True), ddof=0):
    """A layer norm with its statistics over `axis` (a tuple, or a function of the number of dimensions)."""
    def wrong(x, gamma, beta, eps=1e-5):
        over = axis(x.ndim) if callable(axis) else axis
        mean, variance = x.mean(over, keepdims=keepdims[0]), x.var(over, keepdims=keepdims[1], ddof=ddof)
        return gamma * (x - mean) / np.sqrt(variance + eps) + beta
    return wrong


def norm_by(scale, affine=lambda n, gamma, beta: n * gamma + beta):
    """A layer norm divided by scale(variance, eps)."""
    def wrong(x, gamma, beta, eps=1e-5):
        return affine((x - x.mean(-1, keepdims=True)) / scale(x.var(-1, keepdims=True), eps), gamma, beta)
    return wrong


def not_centred(moment):
    return lambda x, gamma, beta, eps=1e-5: gamma * x / np.sqrt(moment(x) + eps) + beta


def one_pass(x, gamma, beta, eps=1e-5):
    mean = x.mean(-1, keepdims=True)
    variance = (x * x).mean(-1, keepdims=True) - mean * mean
    return gamma * (x - mean) / np.sqrt(variance + eps) + beta


def root(variance, eps):
    return np.sqrt(variance + eps)


def tokens_are_independent(fn):
    x = np.arange(24.0).reshape(1, 3, 8) ** 1.5
    changed = x.copy()
    changed[0, 2] = -x[0, 2] ** 2
    gamma, beta = np.linspace(1, 2, 8), np.linspace(-1, 1, 8)
    return np.allclose(fn(x, gamma, beta)[0, 0], fn(changed, gamma, beta)[0, 0], rtol=1e-4, equal_nan=True)


LAYER_NORM = Exercise(
    layer_norm,
    layer_norm_probes,
    [
        Misconception(
            "batch-norm-axes",
            "Your mean and variance run over the batch (and tokens), one pair per feature: that is batch norm. A "
            "token's result then depends on the other tokens. Look at which axis holds the features of one token.",
            [norm_over((0, 1)), norm_over(0), norm_over(lambda n: tuple(range(n - 1)))],
        ),
        Misconception(
            "whole-sample-axes",
            "Your mean and variance run over a whole sequence, tokens and features together. A later token then "
            "changes an earlier one, which breaks causality. Every token needs statistics of its own.",
            [norm_over((1, 2)), norm_over(lambda n: tuple(range(1, n))), norm_over((-2, -1))],
        ),
        Misconception(
            "whole-array",
            "You take one mean and one variance over the whole array, so every token depends on the entire batch. "
            "Every token needs statistics of its own.",
            [norm_over(None)],
        ),
        Misconception(
            "token-axis",
            "Your mean and variance run along the sequence, over the tokens. Future tokens then leak into earlier "
            "ones. Look at which axis holds the features of one token.",
            [norm_over(1), norm_over(-2)],
        ),
        Misconception(
            "keepdims-missing",
            "Your statistics lose the feature axis, so NumPy lines them up with the wrong axis: it fails on most "
            "shapes and silently mixes tokens on square ones. Look at what keeps a reduced axis as length 1.",
            [norm_over(-1, (False, False)), norm_over(-1, (False, True)), norm_over(-1, (True, False))],
        ),
        Misconception(
            "ddof-1",
            "You divide the squared deviations by d - 1. Layer norm uses the plain variance, divided by d: it "
            "describes these d features, it does not estimate a population.",
            [norm_over(-1, ddof=1)],
        ),
        Misconception(
            "eps-outside-sqrt",
            "You add eps to the standard deviation, outside the root. That hardly shows at spread 1, but a token "
            "with a tiny spread comes out far too large. Look at what eps is added to.",
            [norm_by(lambda v, eps: np.sqrt(v) + eps)],
        ),
        Misconception(
            "eps-missing",
            "You never use eps. A token whose features are all equal then divides 0 by 0, and one nan spoils the "
            "whole batch. Look at what eps protects.",
            [norm_by(lambda v, eps: np.sqrt(v))],
        ),
        Misconception(
            "eps-hard-coded",
            "You use a fixed 1e-5 and ignore the argument eps. Models differ here (1e-5, 1e-6, 1e-12), and weights "
            "loaded with the wrong one give other outputs.",
            [norm_by(lambda v, eps: np.sqrt(v + 1e-5))],
        ),
        Misconception(
            "divide-by-variance",
            "You divide by the variance. The spread of the features is its square root; without the root the output "
            "does not have variance 1.",
            [norm_by(lambda v, eps: v + eps), norm_by(lambda v, eps: v + eps**2)],
        ),
        Misconception(
            "no-centring",
            "You do not subtract the mean from the features. With the root mean square below the line that is "
            "RMSNorm, a different layer: layer norm centres every token first.",
            [not_centred(lambda x: (x * x).mean(-1, keepdims=True)), not_centred(lambda x: x.var(-1, keepdims=True))],
        ),
        Misconception(
            "affine-first",
            "You apply gamma and beta before normalising, which undoes most of them. They come last, so that the "
            "model can choose the scale and offset of each feature.",
            [lambda x, gamma, beta, eps=1e-5: layer_norm(x * gamma + beta, 1, 0, eps),
             lambda x, gamma, beta, eps=1e-5: layer_norm(x * gamma, 1, beta, eps)],
        ),
        Misconception(
            "bias-ignored",
            "beta is never added. Without it no feature can have an offset: every token's features stay centred on "
            "0.",
            [norm_by(root, lambda n, gamma, beta: n * gamma)],
        ),
        Misconception(
            "gain-ignored",
            "gamma is never applied. Without it the model cannot give back the scale that normalising took away.",
            [norm_by(root, lambda n, gamma, beta: n + beta)],
        ),
        Misconception(
            "scalar-gain",
            "You use one number for the gain. gamma has one entry per feature, and each scales its own feature.",
            [norm_by(root, lambda n, gamma, beta: n * gamma.mean() + beta),
             norm_by(root, lambda n, gamma, beta: n * gamma[0] + beta)],
        ),
        Misconception(
            "one-pass-variance",
            "Your variance is the mean square minus the squared mean. With a large mean these are two almost equal "
            "numbers: in float32 their difference is noise, even negative. Centre first, then square.",
            [one_pass],
            rounding=True,
        ),
    ],
    [
        "Which axis of `x` holds the features of one token? Each token has its own mean and variance, over that axis.",
        "To subtract a mean from `x` again, it must keep that axis with length 1: look up `keepdims`.",
        "The variance is the mean of the squared deviations. Where must `eps` go, if all of a token's are 0?",
        "Four steps: mean, centre, divide by the root of variance and eps, then gain and bias.",
    ],
    properties=[
        Property(
            "tokens-mixed",
            "The result for one token changes when another token changes. Layer norm looks at one token at a time: "
            "its statistics come from that token's features alone.",
            tokens_are_independent,
        ),
    ],
)

# --- 29-B -----------------------------------------------------------------------------------------------------------


def layer_norm_backward(dy, x, gamma, eps):
    rstd = 1 / np.sqrt(x.var(-1, keepdims=True) + eps)  # (..., 1)
    normed = (x - x.mean(-1, keepdims=True)) * rstd  # (..., d)
    g = dy * gamma  # gradient at the normed features
    dx = rstd * (g - g.mean(-1, keepdims=True) - normed * (g * normed).mean(-1, keepdims=True))
    others = tuple(range(x.ndim - 1))  # every axis but the features
    return dx, (dy * normed).sum(others), dy.sum(others)


def layer_norm_backward_probes(rng):
    gamma = rng.permutation(np.linspace(0.5, 3, 8))  # far from constant

    def pair(*shape):
        return rng.standard_normal(shape), 1 + 2 * rng.standard_normal(shape)

    dy, x = pair(4, 8)
    return {
        "one token [1, 2, 3, 4], dy [1, 0, 0, 0], gamma 1": (
            np.array([[1.0, 0, 0, 0]]), np.array([[1.0, 2, 3, 4]]), np.ones(4), 1e-5),
        "one token as a vector (8,)": (*pair(8), gamma, 1e-5),
        "4 tokens (4, 8), gamma not constant": (dy, x, gamma, 1e-5),
        "a large eps, .5": (dy, x, gamma, 0.5),
        "a token with a tiny spread, standard deviation .004": (dy[:1], 0.002 * x[:1], gamma, 1e-5),
        "a token whose features are all 2, eps .01": (dy[:1], np.full((1, 8), 2.0), gamma, 0.01),
        "as many tokens as features (8, 8)": (*pair(8, 8), gamma, 1e-5),
        "a batch of sequences (2, 3, 8)": (*pair(2, 3, 8), gamma, 1e-5),
        "a 4-D input (2, 2, 3, 8)": (*pair(2, 2, 3, 8), gamma, 1e-5),
        "float32 (4, 8)": tuple(a.astype(np.float32) for a in (dy, x, gamma)) + (1e-5,),
    }


def mean(a):
    return a.mean(-1, keepdims=True)


def total(a):
    return a.sum(-1, keepdims=True)


def right_dx(rstd, g, n, **_):
    return rstd * (g - mean(g) - n * mean(g * n))


def right_dgamma(dy, n, others, **_):
    return (dy * n).sum(others)


def right_dbeta(dy, others, **_):
    return dy.sum(others)


def backward_with(dx=right_dx, dgamma=right_dgamma, dbeta=right_dbeta, scale=root):
    """The backward pass with other formulas for some of its parts, each from the forward pass's quantities."""
    def wrong(dy, x, gamma, eps):
        centred = x - x.mean(-1, keepdims=True)
        rstd = 1 / scale(x.var(-1, keepdims=True), eps)
        part = {"dy": dy, "x": x, "gamma": gamma, "g": dy * gamma, "centred": centred, "rstd": rstd,
                "n": centred * rstd, "others": tuple(range(x.ndim - 1))}
        return dx(**part), dgamma(**part), dbeta(**part)
    return wrong


def in_one_or_both(dgamma, dbeta):
    return [backward_with(dgamma=dgamma, dbeta=dbeta), backward_with(dgamma=dgamma), backward_with(dbeta=dbeta)]


def dx_is_centred(fn):
    rng = np.random.default_rng(1)
    dx = fn(rng.standard_normal((3, 8)), rng.standard_normal((3, 8)), np.linspace(0.5, 2, 8), 1e-5)[0]
    return np.abs(dx.sum(-1)).max() < 1e-4


LAYER_NORM_BACKWARD = Exercise(
    layer_norm_backward,
    layer_norm_backward_probes,
    [
        Misconception(
            "stats-detached",
            "Your dx treats the mean and the standard deviation as constants. Both depend on x, so each sends a "
            "gradient of its own: two terms are missing.",
            [backward_with(lambda g, rstd, **_: g * rstd)],
        ),
        Misconception(
            "sigma-detached",
            "Your dx treats the standard deviation as a constant. Stretching x changes nothing in the output, so the"
            " part of the gradient along the normed x has to go too.",
            [backward_with(lambda g, rstd, **_: rstd * (g - mean(g)))],
        ),
        Misconception(
            "mu-detached",
            "Your dx treats the mean as a constant. Adding a number to all features changes nothing in the output, "
            "so each token's dx must sum to 0.",
            [backward_with(lambda g, n, rstd, **_: rstd * (g - n * mean(g * n)))],
        ),
        Misconception(
            "gamma-outside-means",
            "You multiply by gamma after the means over the features. The gradient passes gamma first, so the means "
            "must be taken of dy * gamma. A constant gamma hides the difference.",
            [backward_with(lambda dy, gamma, n, rstd, **_: gamma * rstd * (dy - mean(dy) - n * mean(dy * n)))],
        ),
        Misconception(
            "gamma-forgotten",
            "Your dx does not contain gamma. In the forward pass the normed features are multiplied by gamma, so the"
            " gradient is too.",
            [backward_with(lambda dy, n, rstd, **_: rstd * (dy - mean(dy) - n * mean(dy * n)))],
        ),
        Misconception(
            "sum-not-mean",
            "Your dx subtracts sums over the features where means belong. The mean in the forward pass divides by d,"
            " so each feature carries only 1/d of that gradient.",
            [backward_with(lambda g, n, rstd, **_: rstd * (g - total(g) - n * total(g * n))),
             backward_with(lambda g, n, rstd, **_: rstd * (g - total(g) - n * mean(g * n))),
             backward_with(lambda g, n, rstd, **_: rstd * (g - mean(g) - n * total(g * n)))],
        ),
        Misconception(
            "rstd-missing",
            "Your dx lacks the factor 1/sigma. The forward pass divides by sigma, so layer norm amplifies the "
            "gradient of a token with a small spread.",
            [backward_with(lambda g, n, **_: g - mean(g) - n * mean(g * n))],
        ),
        Misconception(
            "uses-raw-x",
            "Your dx projects with x itself, or x without its mean. The term needs the normed features, which have "
            "mean 0 and variance 1.",
            [backward_with(lambda g, x, rstd, **_: rstd * (g - mean(g) - x * mean(g * x))),
             backward_with(lambda g, centred, rstd, **_: rstd * (g - mean(g) - centred * mean(g * centred)))],
        ),
        Misconception(
            "dgamma-uses-x",
            "Your dgamma multiplies dy with x. gamma multiplies the normed features in the forward pass, so they are"
            " its gradient's other factor.",
            [backward_with(dgamma=lambda dy, x, others, **_: (dy * x).sum(others)),
             backward_with(dgamma=lambda dy, centred, others, **_: (dy * centred).sum(others))],
        ),
        Misconception(
            "token-mean",
            "You average dgamma or dbeta over the tokens. All tokens share gamma and beta, so their gradients add "
            "up; the loss has already done any averaging.",
            in_one_or_both(lambda dy, n, others, **_: (dy * n).mean(others), lambda dy, others, **_: dy.mean(others)),
        ),
        Misconception(
            "feature-axis",
            "You sum dgamma or dbeta over the features, which gives one number per token. gamma and beta have one "
            "entry per feature: sum over everything else.",
            in_one_or_both(lambda dy, n, **_: (dy * n).sum(-1), lambda dy, **_: dy.sum(-1)),
        ),
        Misconception(
            "first-axis-only",
            "You sum dgamma or dbeta over the first axis alone, which is right for a matrix and wrong for a batch of"
            " sequences. gamma and beta are shared by every token of every sequence.",
            in_one_or_both(lambda dy, n, **_: (dy * n).sum(0), lambda dy, **_: dy.sum(0)),
        ),
        Misconception(
            "eps-missing",
            "Your 1/sigma leaves eps out. The forward pass divides by the root of variance plus eps; without it a "
            "constant token gives nan, and a token with a tiny spread a gradient that is far too large.",
            [backward_with(scale=lambda v, eps: np.sqrt(v))],
        ),
        Misconception(
            "eps-outside-sqrt",
            "You add eps to the standard deviation, outside the root. The forward pass adds it to the variance, "
            "inside; on a token with a tiny spread that is a different gradient.",
            [backward_with(scale=lambda v, eps: np.sqrt(v) + eps)],
        ),
    ],
    [
        "Start at the end: beta is added, gamma multiplies the normed features. All tokens share both.",
        "Call the normed features n and g = dy * gamma, the gradient at n. Everything else happens inside one token.",
        "x reaches n by three roads: directly, through the mean, through the standard deviation. Each gives one term.",
        "Claim 3 has the result: its Jacobian J is symmetric, so dx = J g. Multiply that out term by term; never build J.",
        "Check: for every token dx sums to 0, and for eps = 0 its product with x is 0 too.",
    ],
    properties=[
        Property(
            "dx-not-centred",
            "Your dx of a token does not sum to 0. Adding a number to all features of a token changes nothing in the"
            " output, so the gradient must have no part in that direction. Look at the term that comes from the "
            "mean.",
            dx_is_centred,
        ),
    ],
    returns="dx, dgamma, dbeta",
)

# --- 29-C -----------------------------------------------------------------------------------------------------------


def block(x, attn, ffn, ln1, ln2, mode):
    if mode == "pre":
        x = x + attn(ln1(x))
        return x + ffn(ln2(x))
    x = ln1(x + attn(x))
    return ln2(x + ffn(x))


def block_probes(rng):
    def parts(d):
        w, (gain1, gain2) = rng.standard_normal((d, d)) / d**0.5, 1 + 0.3 * rng.standard_normal((2, d))
        one, zero = np.ones(d), np.zeros(d)
        return (
            lambda x: np.cumsum(x, -2) / np.arange(1, x.shape[-2] + 1)[:, None] @ w,  # causal, uniform attention
            lambda x: np.tanh(2 * x @ w.T),
            lambda x: layer_norm(x, gain1, one),
            lambda x: layer_norm(x, gain2, zero),
        )

    toy = (lambda z: 2 * z, lambda z: z * z, lambda z: z - 1, lambda z: z / 2)
    words = "one token [1, 2] and toy functions: attn doubles, ffn squares, ln1 subtracts 1, ln2 halves"
    one, batch = np.array([[[1.0, 2]]]), 1 + 2 * rng.standard_normal((2, 5, 8))
    parts8 = parts(8)
    return {
        f"{words}; mode 'pre'": (one, *toy, "pre"),
        f"{words}; mode 'post'": (one, *toy, "post"),
        "a batch of sequences (2, 5, 8), mode 'pre'": (batch, *parts8, "pre"),
        "a batch of sequences (2, 5, 8), mode 'post'": (batch, *parts8, "post"),
    }


def right_pre(x, attn, ffn, ln1, ln2):
    return block(x, attn, ffn, ln1, ln2, "pre")


def right_post(x, attn, ffn, ln1, ln2):
    return block(x, attn, ffn, ln1, ln2, "post")


def modes(pre=right_pre, post=right_post):
    return lambda x, attn, ffn, ln1, ln2, mode: (pre if mode == "pre" else post)(x, attn, ffn, ln1, ln2)


def each(sublayer1, sublayer2=None):
    """A block whose halves are sublayer(x, f, ln), the second one like the first unless given."""
    return lambda x, attn, ffn, ln1, ln2: (sublayer2 or sublayer1)(sublayer1(x, attn, ln1), ffn, ln2)


def everywhere(pre, post):
    """The same mistake in both modes, in the first alone, in the second alone."""
    return [modes(pre, post), modes(pre=pre), modes(post=post)]


def called_with(swapped):
    """The right block with its parts mixed up, in one mode or in both."""
    return everywhere(lambda x, *parts: right_pre(x, *swapped(*parts)),
                      lambda x, *parts: right_post(x, *swapped(*parts)))


def pre_half(x, f, ln):
    return x + f(ln(x))


def post_half(x, f, ln):
    return ln(x + f(x))


def no_skip_pre(x, f, ln):
    return f(ln(x))


def no_skip_post(x, f, ln):
    return ln(f(x))


def norm_replaces_stream(x, f, ln):
    return ln(x) + f(ln(x))


BLOCK = Exercise(
    block,
    block_probes,
    [
        Misconception(
            "stream-normalised",
            "In Pre-LN you overwrite the residual stream with its normed version, so the skip carries LN(x). Then no"
            " clean path from input to output is left. Look at what you add the sublayer's output to.",
            [modes(pre=each(norm_replaces_stream)),
             modes(pre=each(norm_replaces_stream, pre_half)),
             modes(pre=each(pre_half, norm_replaces_stream))],
        ),
        Misconception(
            "output-norm",
            "In Post-LN you normalise the sublayer's output before adding it. That is another design (output norm); "
            "Post-LN normalises after the addition, so the norm sits on the skip path.",
            [modes(post=each(lambda x, f, ln: x + ln(f(x))))],
        ),
        Misconception(
            "skip-normalised",
            "In Post-LN you normalise the skip alone and add the sublayer's raw output. Post-LN normalises the sum "
            "of both.",
            [modes(post=each(lambda x, f, ln: ln(x) + f(x)))],
        ),
        Misconception(
            "pre-post-swapped",
            "Your two modes are swapped. 'pre' normalises what goes into a sublayer, inside the residual branch; "
            "'post' normalises after the addition, between the branches.",
            [modes(right_post, right_pre)],
        ),
        Misconception(
            "mode-ignored",
            "Your function does the same in both modes. Look at what `mode` should move: the place of the two norms.",
            [modes(post=right_pre), modes(pre=right_post)],
        ),
        Misconception(
            "parallel-ffn",
            "Your feed-forward layer reads the block's input, beside attention. In this block it comes second: it "
            "reads the stream that attention has already written to.",
            everywhere(lambda x, attn, ffn, ln1, ln2: x + attn(ln1(x)) + ffn(ln2(x)),
                       lambda x, attn, ffn, ln1, ln2: ln2(ln1(x + attn(x)) + ffn(x))),
        ),
        Misconception(
            "skip-missing",
            "A skip connection is missing: a sublayer's output replaces the stream. Every sublayer must add to what "
            "it was given.",
            everywhere(each(no_skip_pre), each(no_skip_post))
            + everywhere(each(no_skip_pre, pre_half), each(no_skip_post, post_half))
            + everywhere(each(pre_half, no_skip_pre), each(post_half, no_skip_post)),
        ),
        Misconception(
            "one-ln-shared",
            "You use one layer norm for both sublayers. Each sublayer has its own, with its own gain and bias.",
            called_with(lambda attn, ffn, ln1, ln2: (attn, ffn, ln1, ln1))
            + called_with(lambda attn, ffn, ln1, ln2: (attn, ffn, ln2, ln2)),
        ),
        Misconception(
            "lns-swapped",
            "You swapped the two layer norms: ln1 belongs to attention, ln2 to the feed-forward layer.",
            called_with(lambda attn, ffn, ln1, ln2: (attn, ffn, ln2, ln1)),
        ),
        Misconception(
            "skip-from-block-input",
            "Your second skip starts at the block's input, so what attention wrote is lost from the stream. The "
            "second addition continues from the result of the first.",
            everywhere(lambda x, attn, ffn, ln1, ln2: x + ffn(ln2(x + attn(ln1(x)))),
                       lambda x, attn, ffn, ln1, ln2: ln2(x + ffn(ln1(x + attn(x))))),
        ),
        Misconception(
            "ffn-first",
            "You run the feed-forward layer before attention. In this block attention comes first.",
            called_with(lambda attn, ffn, ln1, ln2: (ffn, attn, ln2, ln1)),
        ),
    ],
    [
        "A block is two halves of the same form, attention then feed-forward. Write one half for each mode first.",
        "Pre-LN: the norm is inside the branch, and the stream itself is only ever added to.",
        "Post-LN: the norm comes after the addition, so it takes in the stream and the branch together.",
    ],
)

EXERCISES = [LAYER_NORM, LAYER_NORM_BACKWARD, BLOCK]
