"""Each optimizer written from its paper, weight by weight in Python's floats.

A twin of one weight takes the weight and its gradients, and yields the weight after each of them.
"""

from math import copysign, hypot, prod, sqrt


def sgd(w, gradients, learning_rate, momentum, nesterov):
    """Robbins and Monro (1951); Polyak (1964), as the difference of the last two positions.

    Sutskever et al. (2013), equations 3 and 4, for `nesterov`: there the gradient is taken ahead, at w + m v. Here w is
    that place, so that the position of the paper lies behind it.
    """
    velocity = 0.0
    for g in gradients:
        behind = w - momentum * velocity if nesterov else w
        velocity = momentum * velocity - learning_rate * g
        w = behind + velocity + (momentum * velocity if nesterov else 0)
        yield w


def adagrad(w, gradients, learning_rate, initial_accumulator_value, epsilon):
    """Duchi et al. (2011)."""
    for t, g in enumerate(gradients, 1):
        accumulator = initial_accumulator_value + sum(g * g for g in gradients[:t])
        w -= learning_rate * g / sqrt(accumulator + epsilon)
        yield w


def rowwise_adagrad(w, gradients, learning_rate, initial_accumulator_value, epsilon):
    """The rule of FBGEMM, with the epsilon of Keras' Adagrad, by the weights of one row of a table."""
    accumulator = initial_accumulator_value
    for g in gradients:
        accumulator += sum(b * b for b in g) / len(g)
        w = [a - learning_rate / sqrt(accumulator + epsilon) * b for a, b in zip(w, g, strict=True)]
        yield w


def adadelta(w, gradients, learning_rate, rho, epsilon):
    """Zeiler (2012), algorithm 1."""
    of_gradient = of_update = 0.0
    for g in gradients:
        of_gradient = rho * of_gradient + (1 - rho) * g**2
        update = -sqrt(of_update + epsilon) / sqrt(of_gradient + epsilon) * g
        of_update = rho * of_update + (1 - rho) * update**2
        w += learning_rate * update
        yield w


def rmsprop(w, gradients, learning_rate, rho, momentum, epsilon, centered):
    """Graves (2013), equations 38 to 41, with the centering and the momentum as options."""
    n = mean = velocity = 0.0
    for g in gradients:
        n = rho * n + (1 - rho) * g**2
        mean = rho * mean + (1 - rho) * g
        variance = max(0.0, n - mean**2) if centered else n
        velocity = momentum * velocity - learning_rate * g / sqrt(variance + epsilon)
        w += velocity
        yield w


def adam(w, gradients, learning_rate, beta_1, beta_2, epsilon, amsgrad):
    """Kingma and Ba (2015), algorithm 1 as printed; Reddi et al. (2018) with the corrections by t."""
    m = v = most = 0.0
    for t, g in enumerate(gradients, 1):
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g * g
        most = max(most, v) if amsgrad else v
        w -= learning_rate * (m / (1 - beta_1**t)) / (sqrt(most / (1 - beta_2**t)) + epsilon)
        yield w


def adamw(w, gradients, learning_rate, weight_decay, **settings):
    """Loshchilov and Hutter (2019), algorithm 2: the step of Adam does not depend on the weight."""
    before = 0.0
    for after in adam(0.0, gradients, learning_rate, **settings):
        w = w + (after - before) - learning_rate * weight_decay * w
        before = after
        yield w


def adamax(w, gradients, learning_rate, beta_1, beta_2, epsilon):
    """Kingma and Ba (2015), algorithm 2 as printed, with an epsilon."""
    m = u = 0.0
    for t, g in enumerate(gradients, 1):
        m = beta_1 * m + (1 - beta_1) * g
        u = max(beta_2 * u, abs(g))
        w -= learning_rate / (1 - beta_1**t) * m / (u + epsilon)
        yield w


def nadam(w, gradients, learning_rate, beta_1, beta_2, epsilon):
    """Dozat (2016), algorithm 2 as printed, with the momenta of Keras."""
    mu = [beta_1 * (1 - 0.5 * 0.96**t) for t in range(len(gradients) + 2)]
    m = v = 0.0
    for t, g in enumerate(gradients, 1):
        ahead, so_far = prod(mu[1 : t + 2]), prod(mu[1 : t + 1])
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g**2
        m_hat = mu[t + 1] * m / (1 - ahead) + (1 - mu[t]) * g / (1 - so_far)
        w -= learning_rate * m_hat / (sqrt(v / (1 - beta_2**t)) + epsilon)
        yield w


def lion(w, gradients, learning_rate, beta_1, beta_2):
    """Chen et al. (2023), algorithm 2 without weight decay."""
    m = 0.0
    for g in gradients:
        c = beta_1 * m + (1 - beta_1) * g
        w -= learning_rate * (copysign(1, c) if c else 0)
        m = beta_2 * m + (1 - beta_2) * g
        yield w


def ftrl(
    w,
    gradients,
    learning_rate,
    initial_accumulator_value,
    l1_regularization_strength,
    l2_regularization_strength,
    l2_shrinkage_regularization_strength,
    beta,
):
    """McMahan et al. (2013), algorithm 1, with the names of Keras for its settings."""
    n, z = initial_accumulator_value, 0.0
    for g in gradients:
        sigma = (sqrt(n + g * g) - sqrt(n)) / learning_rate
        z += g + 2 * l2_shrinkage_regularization_strength * w - sigma * w
        n += g * g
        if abs(z) <= l1_regularization_strength:
            w = 0.0
        else:
            top = copysign(l1_regularization_strength, z) - z
            w = top / ((beta + sqrt(n)) / learning_rate + 2 * l2_regularization_strength)
        yield w


def lamb(w, gradients, learning_rate, beta_1, beta_2, epsilon, weight_decay):
    """You et al. (2020), algorithm 2 with phi(z) = z, by the weights of a parameter."""
    m, v = [0.0] * len(w), [0.0] * len(w)
    for t, g in enumerate(gradients, 1):
        m = [beta_1 * a + (1 - beta_1) * b for a, b in zip(m, g, strict=True)]
        v = [beta_2 * a + (1 - beta_2) * b**2 for a, b in zip(v, g, strict=True)]
        r = [a / (1 - beta_1**t) / (sqrt(b / (1 - beta_2**t)) + epsilon) for a, b in zip(m, v, strict=True)]
        u = [a + weight_decay * b for a, b in zip(r, w, strict=True)]
        ratio = hypot(*w) / hypot(*u) if any(w) and any(u) else 1.0
        w = [a - learning_rate * ratio * b for a, b in zip(w, u, strict=True)]
        yield w


def lars(w, gradients, learning_rate, momentum, trust_coefficient, weight_decay):
    """You et al. (2017), algorithm 1 at a constant global rate, by the weights of a parameter."""
    v = [0.0] * len(w)
    for g in gradients:
        local = trust_coefficient * hypot(*w) / (hypot(*g) + weight_decay * hypot(*w)) if any(w) and any(g) else 1.0
        v = [momentum * c + learning_rate * local * (b + weight_decay * a) for a, b, c in zip(w, g, v, strict=True)]
        w = [a - b for a, b in zip(w, v, strict=True)]
        yield w


LAYERWISE_TWINS = {"lamb": lamb, "lars": lars}
"""By the option of the specification; they take the weights and gradients of a parameter at once."""
TWINS = {
    "sgd": sgd,
    "adagrad": adagrad,
    "rowwise_adagrad": adagrad,  # outside tables
    "adadelta": adadelta,
    "rmsprop": rmsprop,
    "adam": adam,
    "adamax": adamax,
    "adamw": adamw,
    "nadam": nadam,
    "lion": lion,
    "ftrl": ftrl,
}
"""By the option of the specification."""


def weights(kind, start, gradients, **settings):
    """Return the weights after each step, from the gradients of all steps, (steps, weights)."""
    if kind in LAYERWISE_TWINS:
        return list(LAYERWISE_TWINS[kind]([*map(float, start)], [[*map(float, row)] for row in gradients], **settings))
    columns = [
        list(TWINS[kind](w, [float(row[i]) for row in gradients], **settings)) for i, w in enumerate(map(float, start))
    ]
    return [list(row) for row in zip(*columns, strict=True)]
