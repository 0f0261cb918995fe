"""Exercises 30-A and 30-B: the loss of a language model, and the gradient of cross-entropy at the logits."""
import numpy as np

from selfcheck import Exercise, Misconception, Property

# --- 30-A -----------------------------------------------------------------------------------------------------------


def lm_loss(logits, tokens, pad_id):
    z, targets = logits[:, :-1], tokens[:, 1:]  # (B, T-1, V), (B, T-1)
    z = z - z.max(-1, keepdims=True)
    nll = np.log(np.exp(z).sum(-1)) - np.take_along_axis(z, targets[..., None], -1)[..., 0]  # (B, T-1)
    return float(nll[targets != pad_id].mean())


def lm_loss_probes(rng):
    def batch(lengths, T, V, pad_id, left=False):
        """Logits (B, T, V) and tokens (B, T) that end, or with `left` begin, in padding."""
        words = [v for v in range(V) if v != pad_id]
        tokens = np.full((len(lengths), T), pad_id)
        for row, n in zip(tokens, lengths):
            (row[T - n:] if left else row[:n])[:] = rng.choice(words, n)
        return 2 * rng.standard_normal((*tokens.shape, V)), tokens, pad_id

    large = batch([5, 4], 6, 5, 0)
    large[0][:] = (8 * large[0]).round() / 8 + np.array([9000, -9000])[:, None, None]  # eighths: exact in float32
    unlikely = batch([5, 4], 6, 5, 0)
    unlikely[0][0, 1, unlikely[1][0, 2]] -= 800
    return {
        "2 tokens [1, 2], logits all 0, V = 3": (np.zeros((1, 2, 3)), np.array([[1, 2]]), 0),
        "4 tokens (1, 4, 3), no padding": batch([4], 4, 3, 0),
        "a batch (2, 6, 5), no padding": batch([6, 6], 6, 5, 0),
        "a ragged batch (3, 9, 7), padded at the end": batch([9, 6, 2], 9, 7, 0),
        "the same, with a pad_id in the middle of the vocabulary": batch([2, 9, 5], 9, 7, 3),
        "a ragged batch (3, 9, 7), padded at the beginning": batch([9, 6, 3], 9, 7, 0, left=True),
        "batch = tokens = vocabulary (5, 5, 5)": batch([5, 3, 2, 4, 5], 5, 5, 4),
        "logits near 9000 in one sequence, near -9000 in the other": large,
        "a target whose logit is 800 below the others": unlikely,
    }


def log_softmax(z, axis=-1, max_over=None):
    z = z - z.max(axis if max_over is None else max_over, keepdims=True)
    return z - np.log(np.exp(z).sum(axis, keepdims=True))


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def naive_softmax(z):
    e = np.exp(z)
    return e / e.sum(-1, keepdims=True)


def pick(a, targets):
    """The entries of a (B, T, V) at targets (B, T)."""
    return np.take_along_axis(a, targets[..., None], -1)[..., 0]


def counted_mean(nll, m):
    return nll[m].mean()


def loss_with(log_p=log_softmax, inputs=slice(0, -1), targets=slice(1, None), mask=None, mean=counted_mean):
    """A loss with other parts; the slices are along time, mask is that of the tokens whose padding decides."""
    def wrong(logits, tokens, pad_id):
        nll = -pick(log_p(logits)[:, inputs], tokens[:, targets])
        return mean(nll, tokens[:, mask or targets] != pad_id)
    return wrong


def rolled(logits, tokens, pad_id):
    targets = np.roll(tokens, -1, axis=1)
    return -pick(log_softmax(logits), targets)[targets != pad_id].mean()


def last_position_is_free(fn):
    logits = np.linspace(-2, 2, 24).reshape(1, 4, 6) ** 3
    changed = logits.copy()
    changed[0, 3] = np.arange(6)
    tokens = np.array([[1, 4, 2, 5]])
    return np.allclose(fn(logits, tokens, 0), fn(changed, tokens, 0), rtol=1e-4, equal_nan=True)


everything = slice(None)

LM_LOSS = Exercise(
    lm_loss,
    lm_loss_probes,
    [
        Misconception(
            "no-shift",
            "You score each position against its own token, which the model has just read. It would learn to copy. The logits at position t "
            "predict the token at t + 1.",
            [loss_with(inputs=everything, targets=everything), loss_with(targets=slice(0, -1)), loss_with(inputs=slice(1, None))],
        ),
        Misconception(
            "shift-backwards",
            "Your shift goes the wrong way: the logits at position t are scored against the token before. Drop the last position of the logits "
            "and the first of the tokens.",
            [loss_with(inputs=slice(1, None), targets=slice(0, -1))],
        ),
        Misconception(
            "double-shift",
            "You shift by two: the logits at position t are scored against the token at t + 2. It happens when the data and the loss both shift. "
            "Shift once.",
            [loss_with(inputs=slice(0, -2), targets=slice(2, None))],
        ),
        Misconception(
            "roll-wraps-around",
            "Rolling the tokens moves the first one to the end, so the last position is scored against the beginning of the sequence. "
            "Nothing follows the last token: leave that position out.",
            [rolled],
        ),
        Misconception(
            "pad-not-masked",
            "Padding counts in your mean. Those targets are filler; leave out every target that equals pad_id.",
            [loss_with(mean=lambda nll, m: nll.mean())],
        ),
        Misconception(
            "masked-sum-over-all-positions",
            "You leave padding out of the sum but not out of the count, so more padding means a smaller loss. Divide by the number "
            "of targets that count.",
            [loss_with(mean=lambda nll, m: (nll * m).mean()), loss_with(mean=lambda nll, m: (nll * m).sum() / (nll.size + len(nll)))],
        ),
        Misconception(
            "mask-from-inputs",
            "Your mask looks at the input tokens, so the first padding after each sequence counts as a target. Whether a prediction counts is "
            "decided by its target.",
            [loss_with(mask=slice(0, -1))],
        ),
        Misconception(
            "mean-of-sequence-means",
            "You average each sequence and then the averages, so a token of a short sequence weighs more than one of a long sequence. Take one mean "
            "over all targets that count.",
            [loss_with(mean=lambda nll, m: ((nll * m).sum(1) / m.sum(1)).mean())],
        ),
        Misconception(
            "double-softmax",
            "You take the softmax twice: the second one gets probabilities instead of logits and makes them almost uniform. Feed it "
            "the logits.",
            [loss_with(log_p=lambda z: log_softmax(softmax(z)))],
        ),
        Misconception(
            "softmax-over-time",
            "Your softmax does not run over the vocabulary, the last axis. At each position the probabilities of all tokens must sum to 1; "
            "over the sequence or the batch they mix positions.",
            [loss_with(log_p=lambda z: log_softmax(z, 1)), loss_with(log_p=lambda z: log_softmax(z[:, :-1], 1), inputs=everything),
             loss_with(log_p=lambda z: log_softmax(z, 0)), loss_with(log_p=lambda z: log_softmax(z, (0, 1, 2)))],
        ),
        Misconception(
            "overflow-naive-softmax",
            "You exponentiate the logits as they are. Large ones overflow, and inf / inf is nan. Subtracting the largest logit first "
            "changes nothing in the softmax.",
            [loss_with(log_p=lambda z: np.log(naive_softmax(z))),
             loss_with(log_p=lambda z: z - np.log(np.exp(z).sum(-1, keepdims=True)))],
        ),
        Misconception(
            "one-max-for-all",
            "You subtract one maximum of the whole batch. Positions whose logits lie far below it all become 0, and log 0 is infinite. Each position "
            "needs its own maximum.",
            [loss_with(log_p=lambda z: log_softmax(z, max_over=(0, 1, 2))),
             loss_with(log_p=lambda z: log_softmax(z[:, :-1], max_over=(0, 1, 2)), inputs=everything)],
        ),
        Misconception(
            "underflow-log-of-softmax",
            "You take the log of a finished softmax. A very small probability has become 0 by then, and its log is infinite. Stay in log space: "
            "the target's logit minus the log of the sum of exponentials.",
            [loss_with(log_p=lambda z: np.log(softmax(z)))],
        ),
        Misconception(
            "eps-inside-log",
            "You add a small number inside the log, or clip the probability, so the loss of a very unlikely token stops growing and its gradient "
            "vanishes. Stay in log space: then no probability is ever 0.",
            [loss_with(log_p=lambda z: np.log(softmax(z) + 1e-9)), loss_with(log_p=lambda z: np.log(naive_softmax(z) + 1e-9))],
            rounding=True,
        ),
        Misconception(
            "bits",
            "Your loss is in bits. Use the natural logarithm: nats.",
            [loss_with(mean=lambda nll, m: nll[m].mean() / np.log(2))],
        ),
        Misconception(
            "perplexity",
            "You return the perplexity, the exponential of the loss. The loss is the mean itself.",
            [loss_with(mean=lambda nll, m: np.exp(nll[m].mean()))],
        ),
        Misconception(
            "sum-not-mean",
            "You add up the losses, per batch or per sequence, so the loss grows with the length of the text. Divide by the number of targets "
            "that count.",
            [loss_with(mean=lambda nll, m: nll[m].sum()), loss_with(mean=lambda nll, m: nll[m].sum() / len(nll))],
        ),
        Misconception(
            "sign",
            "Your sign is wrong: you return the mean log-probability, which is never positive. The loss is minus that.",
            [loss_with(mean=lambda nll, m: -nll[m].mean())],
        ),
        Misconception(
            "raw-logit",
            "You use the target's logit as if it were a log-probability. It needs the normaliser, the log of the sum of exponentials over the "
            "vocabulary; without it the loss has no floor.",
            [loss_with(log_p=lambda z: z), loss_with(log_p=lambda z: z - z.max(-1, keepdims=True))],
        ),
    ],
    [
        "Which logits predict which tokens? The last position predicts nothing that you have, and nothing predicts the first token.",
        "The loss of one target is the log of the sum of the exponentials of all logits, minus the target's logit.",
        "To pick the target's logit at every position: `np.take_along_axis(z, targets[..., None], -1)`.",
        "Subtract the largest logit of each position first, and do not form the probability on the way.",
        "The mask is made from the targets, and it belongs both in the sum and in the count.",
    ],
    properties=[
        Property(
            "last-position-used",
            "Your loss changes with the logits of the last position. No token follows it, so there is nothing to score it against: leave it out.",
            last_position_is_free,
        ),
    ],
)

# --- 30-B -----------------------------------------------------------------------------------------------------------


def ce_grad(logits, targets, ignore_index=-100):
    counted = np.flatnonzero(targets != ignore_index)  # (n,)
    z = logits[counted]  # (n, V)
    p = np.exp(z - z.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    p[np.arange(len(counted)), targets[counted]] -= 1
    grad = np.zeros_like(logits)
    grad[counted] = p / len(counted)
    return grad


def ce_grad_probes(rng):
    def rows(n, V, ignore_index=-100, ignored=()):
        targets = rng.permutation(np.arange(n) % V)
        targets[targets == ignore_index] = (ignore_index + 1) % V
        targets[list(ignored)] = ignore_index
        return 2 * rng.standard_normal((n, V)), targets

    large = rows(4, 5, ignored=[1])
    large[0][:] = (8 * large[0]).round() / 8 + np.array([9000, 0, -9000, 9000])[:, None]  # eighths: exact in float32
    large[0][3, large[1][3]] -= 1000
    return {
        "one row [2, 0, 0], target 0": (np.array([[2.0, 0, 0]]), np.array([0])),
        "4 rows (4, 6), none ignored": rows(4, 6),
        "6 rows (6, 4), two of them ignored": rows(6, 4, ignored=[1, 4]),
        "as many rows as tokens (5, 5), one of them ignored": rows(5, 5, ignored=[0]),
        "all rows but one ignored (4, 6)": rows(4, 6, ignored=[0, 1, 3]),
        "ignore_index -1, one of 5 rows ignored": (*rows(5, 4, -1, [2]), -1),
        "ignore_index 2, which is a token of the vocabulary too": (*rows(6, 4, 2, [0, 3]), 2),
        "a vocabulary of 130, where -100 would be an index": rows(3, 130, ignored=[1]),
        "logits near 9000 or -9000, one of 4 rows ignored, one target 1000 below the others": large,
    }


def grad_with(rows=None, divide=lambda n, N, V: n, p=softmax, ignored=0.0, ignore=None):
    """A gradient with other parts: rows(p, one_hot, z) (N, V), what it is divided by, and what stands in ignored rows."""
    def wrong(logits, targets, ignore_index=-100):
        m = targets != (ignore_index if ignore is None else ignore)
        one_hot = np.zeros(logits.shape)
        one_hot[m, targets[m]] = 1
        prob = p(logits)
        g = rows(prob, one_hot, logits) if rows else prob - one_hot
        return np.where(m[:, None], g, prob * ignored) / divide(m.sum(), *logits.shape)
    return wrong


def no_mask(divide):
    def wrong(logits, targets, ignore_index=-100):
        g = softmax(logits)
        g[np.arange(len(g)), targets] -= 1
        return g / divide(len(g), (targets != ignore_index).sum())
    return wrong


def squared_error(p, one_hot, _):
    miss = p - one_hot
    return 2 * p * (miss - (p * miss).sum(-1, keepdims=True))


def chain(p, one_hot, _):
    dp = np.where(one_hot == 1, -1 / p, 0)
    return p * (dp - (p * dp).sum(-1, keepdims=True))


def one_max(z):
    e = np.exp(z - z.max())
    return e / e.sum(-1, keepdims=True)


def over_rows(z):
    return softmax(z.T).T


def changes_logits(logits, targets, ignore_index=-100):
    right = ce_grad(logits, targets, ignore_index)
    logits -= logits.max(-1, keepdims=True)
    return right


def becomes_the_gradient(logits, targets, ignore_index=-100):
    logits[:] = ce_grad(logits, targets, ignore_index)
    return logits


def changes_targets(logits, targets, ignore_index=-100):
    right = ce_grad(logits, targets, ignore_index)
    targets[targets == ignore_index] = 0
    return right


def rows_sum_to_zero(fn):
    grad = fn(np.linspace(-2, 2, 20).reshape(4, 5) ** 3, np.array([0, 3, 1, 4]))
    return np.abs(grad.sum(1)).max() < 1e-4


CE_GRAD = Exercise(
    ce_grad,
    ce_grad_probes,
    [
        Misconception(
            "not-divided",
            "You return the gradient of the sum. The loss is a mean, so divide by the number of rows that count.",
            [grad_with(divide=lambda n, N, V: 1)],
        ),
        Misconception(
            "divided-by-all-rows",
            "You divide by all rows, the ignored ones too. The mean runs over the rows that count: otherwise padding makes the step smaller.",
            [grad_with(divide=lambda n, N, V: N)],
        ),
        Misconception(
            "divided-by-NV",
            "You divide by the number of entries, rows times vocabulary. The loss is a mean over rows, so the vocabulary's size does not belong there.",
            [grad_with(divide=lambda n, N, V: n * V), grad_with(divide=lambda n, N, V: N * V)],
        ),
        Misconception(
            "sign",
            "Your sign is wrong. A gradient points uphill: a larger logit at the target lowers the loss, so its entry is negative.",
            [grad_with(lambda p, y, z: y - p)],
        ),
        Misconception(
            "ignored-rows-get-softmax",
            "Your ignored rows still hold the softmax, so the model would be pushed away from every token there. Their gradient is 0.",
            [grad_with(ignored=1.0), grad_with(ignored=1.0, divide=lambda n, N, V: N)],
        ),
        Misconception(
            "minus-100-as-index",
            "You use ignore_index as if it were a token: NumPy counts a negative index from the end, so some column gets its -1. "
            "Leave these rows out before you index.",
            [no_mask(lambda N, n: N), no_mask(lambda N, n: n)],
        ),
        Misconception(
            "ignore-index-hard-coded",
            "You look for -100 and not for the argument ignore_index. Other code marks ignored targets otherwise, with -1 or with the id of the "
            "padding token.",
            [grad_with(ignore=-100)],
        ),
        Misconception(
            "only-target-column",
            "Only the target's column of your gradient is filled. Every logit is in the softmax's sum: the wrong tokens are pushed down, each by "
            "its own probability.",
            [grad_with(lambda p, y, z: (p - 1) * y)],
        ),
        Misconception(
            "minus-1/p",
            "You stop at -1/p, the gradient by the target's probability. The logits come before the softmax, so the chain rule has one more step.",
            [grad_with(lambda p, y, z: np.where(y == 1, -1 / p, 0))],
        ),
        Misconception(
            "chain-through-1/p",
            "You multiply -1/p with the softmax's Jacobian. That is right on paper, but 1/p is infinite once p has become 0, and infinity times 0 is nan. "
            "Cancel p first: what is left is short.",
            [grad_with(chain)],
        ),
        Misconception(
            "wrong-axis",
            "Your softmax does not run along the rows. Each row is one position: the probabilities over its vocabulary sum to 1.",
            [grad_with(p=over_rows)],
        ),
        Misconception(
            "mse",
            "Yours is the gradient of the squared error on the probabilities. It carries the target's probability as a factor and vanishes where "
            "the model is confidently wrong. Cross-entropy's does not.",
            [grad_with(squared_error), grad_with(lambda p, y, z: squared_error(p, y, z) / 2), grad_with(squared_error, lambda n, N, V: n * V)],
        ),
        Misconception(
            "logits-minus-onehot",
            "You subtract the one-hot from the logits. The softmax is missing: subtract it from the probabilities.",
            [grad_with(lambda p, y, z: z - y)],
        ),
        Misconception(
            "unstable",
            "You exponentiate the logits as they are. Large ones overflow, and inf / inf is nan. Subtracting each row's largest logit first "
            "changes nothing in the softmax.",
            [grad_with(p=naive_softmax)],
        ),
        Misconception(
            "one-max-for-all",
            "You subtract one maximum of all logits. In a row far below it every exponential becomes 0, and 0 / 0 is nan. Each row needs its own maximum.",
            [grad_with(p=one_max)],
        ),
        Misconception(
            "mutates",
            "Your gradient is right, but the function changes its inputs. The loss or a metric may still need them: work on a copy.",
            [changes_logits, becomes_the_gradient, changes_targets],
        ),
    ],
    [
        "Write the loss of one row as log of the sum of exponentials minus the target's logit, and differentiate by each logit.",
        "The first part gives the softmax, the second a 1 in the target's column.",
        "Rows with `ignore_index` have gradient 0, and they do not count in the mean either.",
        "Index only with the targets that count: -100 is an index to NumPy, too.",
    ],
    properties=[
        Property(
            "rows-not-zero-sum",
            "A row of your gradient does not sum to 0. Adding the same number to all logits of a row changes nothing in the loss, so what "
            "the target gains the others must lose.",
            rows_sum_to_zero,
        ),
    ],
)

EXERCISES = [LM_LOSS, CE_GRAD]
