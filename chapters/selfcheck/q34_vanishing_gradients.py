"""Exercises 34-A and 34-B: gradient norms through a plain or residual stack, and the backward pass of softmax."""
import numpy as np

from selfcheck import Exercise, Misconception, Property

# --- 34-A -----------------------------------------------------------------------------------------------------------


def forward(x, Ws, skip):
    """The stream before every layer and after the last (L + 1 arrays), and what each ReLU read (L arrays)."""
    streams, reads = [x], []
    for W in Ws:
        reads.append(streams[-1] @ W)
        streams.append(skip * streams[-1] + np.maximum(reads[-1], 0))
    return streams, reads


def norms(arrays):
    return np.array([np.linalg.norm(a) for a in arrays])


def grad_profile(x, Ws, g, skip):
    _, reads = forward(x, Ws, skip)
    gs = [g]
    for W, h in zip(Ws[::-1], reads[::-1]):
        gs.append(skip * gs[-1] + (gs[-1] * (h > 0)) @ W.T)
    return norms(gs[::-1])


def grad_profile_probes(rng):
    def stack(N, d, L, scale):
        return rng.standard_normal((N, d)), scale * rng.standard_normal((L, d, d)) / d**0.5, rng.standard_normal((N, d))

    toy = np.array([[1.0, 2]]), np.array([[[1.0, -1], [1, -0.25]]]), np.array([[3.0, 4]])  # its ReLU reads [3, -1.5]
    short, square = stack(4, 24, 3, 1.4), stack(6, 6, 2, 1)  # wide where skip is 0: no token dies, no ReLU reads an exact 0
    return {
        "one layer, one token [1, 2], W [[1, -1], [1, -.25]], g [3, 4], skip 0": (*toy, 0),
        "the same layer, skip 1": (*toy, 1),
        "the same layer, skip .5": (*toy, 0.5),
        "3 layers, 4 tokens (4, 24), skip 0": (*short, 0),
        "3 layers, 4 tokens (4, 24), skip 1": (*short, 1),
        "3 layers, 4 tokens (4, 24), skip .5": (*short, 0.5),
        "2 layers, as many tokens as features (6, 6), skip 1": (*square, 1),
        "12 layers (5, 32), skip 0": (*stack(5, 32, 12, 1.4), 0),
        "12 layers (5, 32), skip 1": (*stack(5, 32, 12, 0.4), 1),
    }


def backward_with(step, order=lambda Ws, reads: (Ws, reads)):
    """The right forward pass, then a backward pass by `step`; `order` picks the layers that it walks, last one first."""
    def wrong(x, Ws, g, skip):
        streams, reads = forward(x, Ws, skip)
        gs = [g]
        for W, h, before, after in list(zip(*order(Ws, reads), streams, streams[1:]))[::-1]:
            gs.append(step(g=gs[-1], W=W, mask=h > 0, before=before, after=after, skip=skip))
        return norms(gs[::-1])
    return wrong


def right_step(g, W, mask, skip, **_):
    return skip * g + (g * mask) @ W.T


def no_skip_anywhere(x, Ws, g, skip):
    return grad_profile(x, Ws, g, 0)


def is_linear(fn):
    rng = np.random.default_rng(1)
    x, g, Ws = rng.standard_normal((3, 4)), rng.standard_normal((3, 4)), rng.standard_normal((2, 4, 4))
    return np.allclose(fn(x, Ws, -3 * g, 1), 3 * fn(x, Ws, g, 1), rtol=1e-4)


GRAD_PROFILE = Exercise(
    grad_profile,
    grad_profile_probes,
    [
        Misconception(
            "mask-missing",
            "Your backward pass goes through the ReLU as if it were not there. Where the ReLU put out 0, no gradient comes back: "
            "each layer needs its mask from the forward pass.",
            [backward_with(lambda g, W, skip, **_: skip * g + g @ W.T)],
        ),
        Misconception(
            "mask-from-block-output",
            "Your mask comes from the stream. With skip 0 its sign after the layer happens to agree with the ReLU's, with a skip it does not: "
            "the mask is about what the ReLU read, x @ W.",
            [backward_with(lambda g, W, skip, after, **_: skip * g + (g * (after > 0)) @ W.T),
             backward_with(lambda g, W, skip, before, **_: skip * g + (g * (before > 0)) @ W.T)],
        ),
        Misconception(
            "mask-on-skip-too",
            "Your mask also hits the gradient of the skip. The skip goes round the ReLU, so its gradient comes back whole; "
            "with skip 0 the two cannot be told apart.",
            [backward_with(lambda g, W, mask, skip, **_: skip * g * mask + (g * mask) @ W.T)],
        ),
        Misconception(
            "mask-after-weights",
            "You multiply by W first and by the mask second. Backward runs against the order of the forward pass: the gradient meets "
            "the ReLU first, then W.",
            [backward_with(lambda g, W, mask, skip, **_: skip * g + (g @ W.T) * mask)],
        ),
        Misconception(
            "W-not-transposed",
            "You send the gradient back through W. Forward is x @ W, so backward is dh @ W.T; square matrices hide the difference in shape.",
            [backward_with(lambda g, W, mask, skip, **_: skip * g + (g * mask) @ W)],
        ),
        Misconception(
            "skip-ignored",
            "Your gradient has no way round the layers: the term of the skip is missing. With skip 0 that is right, with skip 1 it is the "
            "very thing that the profile should show.",
            [backward_with(lambda g, W, mask, **_: (g * mask) @ W.T), no_skip_anywhere],
        ),
        Misconception(
            "skip-not-scaled",
            "Your gradient always takes the skip whole. The forward pass multiplies x by `skip`, so the gradient that comes back is multiplied by it too.",
            [backward_with(lambda g, W, mask, **_: g + (g * mask) @ W.T), lambda x, Ws, g, skip: grad_profile(x, Ws, g, 1)],
        ),
        Misconception(
            "weights-in-forward-order",
            "Your backward pass takes the layers in forward order. The gradient meets the last layer first: walk W and the masks from the end.",
            [backward_with(right_step, lambda Ws, reads: (Ws[::-1], reads)),
             backward_with(right_step, lambda Ws, reads: (Ws, reads[::-1])),
             backward_with(right_step, lambda Ws, reads: (Ws[::-1], reads[::-1]))],
        ),
        Misconception(
            "order-reversed",
            "Your profile is the wrong way round. Index 0 belongs to the input, the last one to g; the backward pass finds them in the other order.",
            [lambda x, Ws, g, skip: grad_profile(x, Ws, g, skip)[::-1]],
        ),
        Misconception(
            "forward-norms",
            "You return the norms of the activations. The profile is about the gradient at each of these places: start from g at the output and go back.",
            [lambda x, Ws, g, skip: norms(forward(x, Ws, skip)[0])],
        ),
        Misconception(
            "normalised-by-first",
            "You divide the profile by one of its own entries. Return the norms as they are; the last one is then the norm of g.",
            [lambda x, Ws, g, skip: grad_profile(x, Ws, g, skip) / grad_profile(x, Ws, g, skip)[0],
             lambda x, Ws, g, skip: grad_profile(x, Ws, g, skip) / grad_profile(x, Ws, g, skip)[-1]],
        ),
        Misconception(
            "root-missing",
            "You return the sums of the squares. The Frobenius norm is the root of that sum.",
            [lambda x, Ws, g, skip: grad_profile(x, Ws, g, skip) ** 2],
        ),
    ],
    [
        "Go forward once and keep what the backward pass will need: where each ReLU was open.",
        "The last entry of the profile is the norm of g. Then take the layers from the last to the first.",
        "One layer back: the gradient comes by two roads and adds up. On the skip it is multiplied by `skip`; in the branch it meets the ReLU, then W.",
        "In the branch: zero the gradient where the ReLU was closed, then multiply by the transpose of W. Turn the list round at the end.",
    ],
    properties=[
        Property(
            "not-linear",
            "With -3 g in place of g your profile is not three times as large. The backward pass is linear in g: the masks come from the forward pass, never from g.",
            is_linear,
        ),
    ],
)

# --- 34-B -----------------------------------------------------------------------------------------------------------


def softmax_backward(p, dp):
    mean = (p * dp).sum(-1, keepdims=True)  # of dp under the weights p, (..., 1)
    return p * (dp - mean)


def softmax_backward_probes(rng):
    def pair(*shape, sharpness=1.5, dtype=np.float64):
        p = np.exp(sharpness * rng.standard_normal(shape))
        return (p / p.sum(-1, keepdims=True)).astype(dtype), rng.standard_normal(shape).astype(dtype)

    causal = np.tril(np.exp(rng.standard_normal((4, 4))))
    return {
        "one row p [.5, .25, .25], dp [4, 0, 0]": (np.array([0.5, 0.25, 0.25]), np.array([4.0, 0, 0])),
        "two rows of 3": (np.array([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]]), np.array([[4.0, 0, 0], [0, 1, -2]])),
        "a row whose dp is the same everywhere, so ds is 0": (np.array([[0.7, 0.2, 0.1]]), np.full((1, 3), 5.0)),
        "a saturated row, p [0, 1, 0]": (np.array([[0.0, 1, 0]]), np.array([[1.0, 2, 3]])),
        "4 rows of 6": pair(4, 6),
        "as many rows as entries (5, 5)": pair(5, 5),
        "causal weights (4, 4), zeros above the diagonal": (causal / causal.sum(-1, keepdims=True), rng.standard_normal((4, 4))),
        "a batch (2, 3, 5)": pair(2, 3, 5),
        "attention weights (2, 2, 4, 4)": pair(2, 2, 4, 4),
        "float32 (3, 6)": pair(3, 6, dtype=np.float32),
    }


def centred_by(centre):
    """p * (dp - centre)."""
    return lambda p, dp: p * (dp - centre(p, dp))


def rows_sum_to_zero(fn):
    p = np.array([[0.1, 0.2, 0.3, 0.4], [0.7, 0.1, 0.1, 0.1]])
    return np.abs(fn(p, np.array([[1.0, -2, 3, 0], [0, 5, 1, 2]])).sum(-1)).max() < 1e-4


SOFTMAX_BACKWARD = Exercise(
    softmax_backward,
    softmax_backward_probes,
    [
        Misconception(
            "diagonal-only",
            "You keep the diagonal of the Jacobian, p (1 - p), alone. Raising one score also lowers the weights of all the others: "
            "the terms - p_i p_j belong to the gradient.",
            [lambda p, dp: p * (1 - p) * dp],
        ),
        Misconception(
            "normaliser-constant",
            "You treat the sum below the fraction as a constant. It depends on every score, so a term is missing: without it the row of ds does not sum to 0.",
            [lambda p, dp: p * dp],
        ),
        Misconception(
            "unweighted-sum",
            "You subtract the plain sum of dp. The sum has to be weighted by p: each weight's gradient counts as much as the weight.",
            [centred_by(lambda p, dp: dp.sum(-1, keepdims=True))],
        ),
        Misconception(
            "unweighted-mean",
            "You subtract the plain mean of dp. That is right for equal weights only: in general it is the mean under p, the sum of p * dp.",
            [centred_by(lambda p, dp: dp.mean(-1, keepdims=True))],
        ),
        Misconception(
            "mean-not-sum",
            "You average p * dp over the row. The weights p already sum to 1, so the sum of p * dp is the mean; dividing by n once more makes it too small.",
            [centred_by(lambda p, dp: (p * dp).mean(-1, keepdims=True))],
        ),
        Misconception(
            "wrong-axis",
            "Your sum runs over the rows. Each row is a softmax of its own, over the last axis: sum within the row.",
            [centred_by(lambda p, dp: (p * dp).sum(-2, keepdims=True)), centred_by(lambda p, dp: (p * dp).sum(0))],
        ),
        Misconception(
            "global-sum",
            "Your sum runs over the whole array, so one row's gradient depends on the other rows. Each row is a softmax of its own.",
            [centred_by(lambda p, dp: (p * dp).sum())],
        ),
        Misconception(
            "keepdims-missing",
            "Your sum loses the last axis, so NumPy lines it up with the wrong one: it fails on most shapes and silently mixes rows on square ones. "
            "Look at what keeps a reduced axis as length 1.",
            [centred_by(lambda p, dp: (p * dp).sum(-1))],
        ),
        Misconception(
            "weight-forgotten",
            "Your bracket is right, the factor p before it is missing. A score with weight 0 cannot move anything, so its gradient has to be 0.",
            [lambda p, dp: dp - (p * dp).sum(-1, keepdims=True)],
        ),
        Misconception(
            "sign-flipped",
            "Your result has the opposite sign. Raising a score raises its own weight: where dp is above its mean under p, ds is positive.",
            [lambda p, dp: -softmax_backward(p, dp)],
        ),
    ],
    [
        "The Jacobian of one row is diag(p) - p pᵀ. Multiply it by dp on paper before you write any code.",
        "The first part gives p * dp. The second gives p times one number: which?",
        "That number is the mean of dp under the weights p, one for each row. It must keep its axis.",
    ],
    properties=[
        Property(
            "rows-not-zero",
            "A row of your ds does not sum to 0. Adding a number to all scores of a row changes no weight, so the gradient must have no part in that direction.",
            rows_sum_to_zero,
        ),
    ],
)

EXERCISES = [GRAD_PROFILE, SOFTMAX_BACKWARD]
