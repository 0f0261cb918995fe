"""Answers to the exercises of question 30; see q29_layer_normalization.py for what the three names mean."""
import math

import numpy as np

# --- lm_loss ---------------------------------------------------------------------------------------------------------


def log_softmax(z):
    z = z - np.max(z, axis=-1, keepdims=True)
    return z - np.log(np.sum(np.exp(z), axis=-1, keepdims=True))


def masked_sum(logits, tokens, pad_id):
    lp, y = log_softmax(logits[:, :-1]), tokens[:, 1:]
    m = y != pad_id
    nll = -np.take_along_axis(lp, y[:, :, None], axis=2).squeeze(2)
    return (nll * m).sum() / m.sum()


def one_hot_einsum(logits, tokens, pad_id):
    y = np.eye(logits.shape[-1])[tokens[:, 1:]]
    y[tokens[:, 1:] == pad_id] = 0
    return -np.einsum("btv,btv->", log_softmax(logits)[:, :-1], y) / y.sum()


def token_by_token(logits, tokens, pad_id):
    total, count = 0.0, 0
    for z, words in zip(logits.tolist(), tokens.tolist()):
        for t in range(len(words) - 1):
            if words[t + 1] != pad_id:
                top = max(z[t])
                total += top + math.log(sum(math.exp(v - top) for v in z[t])) - z[t][words[t + 1]]
                count += 1
    return total / count


def flattened(logits, tokens, pad_id):
    B, T, V = logits.shape
    z, y = logits[:, : T - 1].reshape(-1, V), tokens[:, 1:].reshape(-1)
    z, y = z[y != pad_id], y[y != pad_id]
    return np.mean(np.logaddexp.reduce(z, axis=-1) - z[np.arange(len(y)), y])


def sequences_weighted(logits, tokens, pad_id):
    total = count = 0
    for z, y in zip(logits[:, :-1], tokens[:, 1:]):
        keep = np.nonzero(y != pad_id)[0]
        total -= log_softmax(z)[keep, y[keep]].sum()
        count += keep.size
    return float(total / count)


def targets_with_minus_100(logits, tokens, pad_id):
    targets = np.full(tokens.shape, -100)
    targets[:, :-1] = tokens[:, 1:]
    targets[targets == pad_id] = -100
    b, t = np.nonzero(targets != -100)
    return -log_softmax(logits)[b, t, targets[b, t]].mean()


def masked_array(logits, tokens, pad_id):
    y = tokens[:, 1:]
    nll = -np.take_along_axis(log_softmax(logits), np.pad(y, ((0, 0), (0, 1)))[..., None], -1)[:, :-1, 0]
    return float(np.ma.masked_array(nll, y == pad_id).mean())


def in_float32(logits, tokens, pad_id):
    return masked_sum(logits.astype(np.float32), tokens, pad_id)


def own_token(logits, tokens, pad_id):
    return -np.take_along_axis(log_softmax(logits), tokens[..., None], -1)[..., 0][tokens != pad_id].mean()


def rolled_mean(logits, tokens, pad_id):
    y = np.concatenate([tokens[:, 1:], tokens[:, :1]], axis=1)
    nll = -np.take_along_axis(log_softmax(logits), y[..., None], -1)[..., 0]
    return (nll * (y != pad_id)).sum() / (y != pad_id).sum()


def list_of_sequence_means(logits, tokens, pad_id):
    return np.mean([flattened(logits[i:i + 1], tokens[i:i + 1], pad_id) for i in range(len(tokens))])


def clipped(logits, tokens, pad_id):
    p = np.clip(np.exp(log_softmax(logits[:, :-1])), 1e-12, 1)
    y = tokens[:, 1:]
    return -np.log(np.take_along_axis(p, y[..., None], -1)[..., 0])[y != pad_id].mean()


def tiny_eps(logits, tokens, pad_id):
    p, y = np.exp(log_softmax(logits[:, :-1])), tokens[:, 1:]
    return -np.log(np.take_along_axis(p, y[..., None], -1)[..., 0] + 1e-15)[y != pad_id].mean()


def pads_are_zero(logits, tokens, pad_id):  # takes 0 for the padding
    return masked_sum(logits, tokens, 0)


def last_position_against_itself(logits, tokens, pad_id):
    y = np.concatenate([tokens[:, 1:], tokens[:, -1:]], axis=1)
    return -np.take_along_axis(log_softmax(logits), y[..., None], -1)[..., 0][y != pad_id].mean()


def one_minus_p(logits, tokens, pad_id):
    p, y = np.exp(log_softmax(logits[:, :-1])), tokens[:, 1:]
    return (1 - np.take_along_axis(p, y[..., None], -1)[..., 0])[y != pad_id].mean()


def per_token_losses(logits, tokens, pad_id):
    return -np.take_along_axis(log_softmax(logits[:, :-1]), tokens[:, 1:, None], -1)[..., 0]


# --- ce_grad ---------------------------------------------------------------------------------------------------------


def where_mask(logits, targets, ignore_index=-100):
    m = targets != ignore_index
    y = np.eye(logits.shape[1])[np.where(m, targets, 0)]
    return np.where(m[:, None], np.exp(log_softmax(logits)) - y, 0) / m.sum()


def row_by_row(logits, targets, ignore_index=-100):
    grad, n = np.zeros(logits.shape), sum(1 for y in targets if y != ignore_index)
    for i, y in enumerate(targets):
        if y == ignore_index:
            continue
        e = [math.exp(v - max(logits[i])) for v in logits[i]]
        for j in range(len(e)):
            grad[i, j] = (e[j] / sum(e) - (j == y)) / n
    return grad


def subtract_at(logits, targets, ignore_index=-100):
    keep = targets != ignore_index
    grad = np.exp(log_softmax(logits)) * keep[:, None]
    np.subtract.at(grad, (np.nonzero(keep)[0], targets[keep]), 1)
    return grad / np.count_nonzero(keep)


def comparison(logits, targets, ignore_index=-100):
    weight = (targets != ignore_index) / (targets != ignore_index).sum()
    y = targets[:, None] == np.arange(logits.shape[1])
    return (np.exp(log_softmax(logits)) - y) * weight[:, None]


def jacobians(logits, targets, ignore_index=-100):
    p = np.exp(log_softmax(logits))
    grad = np.zeros_like(logits)
    counted = [i for i in range(len(targets)) if targets[i] != ignore_index]
    for i in counted:
        dp = np.zeros(logits.shape[1])
        dp[targets[i]] = -1 / p[i, targets[i]]
        grad[i] = (np.diag(p[i]) - np.outer(p[i], p[i])) @ dp / len(counted)
    return grad


def on_copies(logits, targets, ignore_index=-100):
    g, t = logits.copy(), targets.copy()
    skip = t == ignore_index
    t[skip] = 0
    g -= g.max(axis=1, keepdims=True)
    np.exp(g, out=g)
    g /= g.sum(axis=1, keepdims=True)
    g[np.arange(len(t)), t] -= 1
    g[skip] = 0
    g /= len(t) - skip.sum()
    return g


def gradient_in_float32(logits, targets, ignore_index=-100):
    z = logits.astype(np.float32)
    return where_mask(z, targets, ignore_index).astype(logits.dtype)


def mean_of_rows(logits, targets, ignore_index=-100):
    return where_mask(logits, targets, ignore_index) * (targets != ignore_index).mean()


def target_column(logits, targets, ignore_index=-100):
    grad = np.zeros_like(logits)
    rows = np.nonzero(targets != ignore_index)[0]
    grad[rows, targets[rows]] = (np.exp(log_softmax(logits))[rows, targets[rows]] - 1) / len(rows)
    return grad


def in_place(logits, targets, ignore_index=-100):
    right = where_mask(logits, targets, ignore_index)
    logits -= logits.max(1, keepdims=True)
    return right


def naive(logits, targets, ignore_index=-100):
    e = np.exp(logits)
    m = targets != ignore_index
    y = np.eye(logits.shape[1])[np.where(m, targets, 0)]
    return (e / e.sum(1)[:, None] - y) * m[:, None] / m.sum()


def no_jacobian_cross_terms(logits, targets, ignore_index=-100):
    return where_mask(logits, targets, ignore_index) * np.exp(log_softmax(logits))


def half_step(logits, targets, ignore_index=-100):
    return where_mask(logits, targets, ignore_index) / 2


def counted_rows_alone(logits, targets, ignore_index=-100):
    return where_mask(logits, targets, ignore_index)[targets != ignore_index]


def loss_not_gradient(logits, targets, ignore_index=-100):
    m = targets != ignore_index
    return -log_softmax(logits)[m, targets[m]].mean()


RIGHT = {
    "lm_loss": [
        masked_sum, one_hot_einsum, token_by_token, flattened, sequences_weighted, targets_with_minus_100, masked_array, in_float32,
    ],
    "ce_grad": [where_mask, row_by_row, subtract_at, comparison, on_copies, gradient_in_float32],
}
WRONG = {
    "lm_loss": [
        (own_token, "no-shift"), (rolled_mean, "roll-wraps-around"), (list_of_sequence_means, "mean-of-sequence-means"),
        (clipped, "eps-inside-log"), (tiny_eps, "eps-inside-log"), (last_position_against_itself, "last-position-used"),
        (pads_are_zero, None), (one_minus_p, None), (per_token_losses, None),
    ],
    "ce_grad": [
        (mean_of_rows, "divided-by-all-rows"), (target_column, "only-target-column"), (in_place, "mutates"), (naive, "unstable"),
        (jacobians, "chain-through-1/p"),
        (no_jacobian_cross_terms, "rows-not-zero-sum"), (half_step, None), (counted_rows_alone, None), (loss_not_gradient, None),
    ],
}
LENGTH = "it has as many rows as targets count"
EQUIVALENT = {
    "lm_loss": {
        "return nll[targets != pad_id].mean()": "NumPy's float is as good as Python's",
        "nll = np.log(np.exp(z).sum(-1)) - np.take_along_axis(z, targets[..., None], -1)[..., -1]": "that axis has length 1",
        "nll = np.log(np.exp(z).sum(-1)) - np.take_along_axis(z, targets[..., None])[..., 0]": "-1 is the default since NumPy 2.3",
    },
    "ce_grad": {
        "p = np.exp(z - z.max(1, keepdims=True))": "a matrix has no axis after 1",
        "p /= p.sum(1, keepdims=True)": "a matrix has no axis after 1",
        "p[np.arange(len(p)), targets[counted]] -= 1": LENGTH,
        "p[np.arange(len(z)), targets[counted]] -= 1": LENGTH,
        "grad[counted] = p / len(p)": LENGTH,
        "grad[counted] = p / len(z)": LENGTH,
    },
}
