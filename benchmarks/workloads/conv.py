# SPDX-License-Identifier: MIT
"""2-D convolutions: forward, and the gradients of input and weight."""

from benchmarks.case import Case, Goal

FAMILY = "convolution"
# batch, channels in, height = width, channels out, kernel, stride, padding, goal of the gradients
SHAPES = [
    (64, 16, 14, 32, 3, 1, 1, 1.0),
    (32, 64, 32, 64, 3, 1, 1, 1.0),
    (32, 128, 16, 128, 3, 1, 1, 1.0),
    (32, 256, 8, 256, 3, 1, 1, 1.0),
    (32, 256, 14, 64, 1, 1, 0, 0.6),
    (4, 3, 112, 64, 7, 2, 3, 0.6),
]
TINY = dict(n=1, h=4)


def _case(direction, n, c, h, o, k, s, p, goal):
    out = (h + 2 * p - k) // s + 1
    flops = 2.0 * n * o * out * out * c * k * k
    params = dict(direction=direction, n=n, c=c, h=h, o=o, k=k, s=s, p=p)
    return Case(
        f"{direction} {c}-{o} {h}² {k}x{k}/{s} n{n}",
        params,
        flops=flops * (2 if direction == "gradients" else 1),
        goal=Goal(goal if direction == "gradients" else 1.0),
    )


CASES = [_case(d, *shape) for shape in SHAPES for d in ("forward", "gradients")]


def build(lib, direction, n, c, h, o, k, s, p):
    conv2d = lib.module.nn.functional.conv2d
    out = (h + 2 * p - k) // s + 1

    def make(layout):
        x, w, grad = (
            lib.laid_out(lib.normal(*shape, seed=i), layout)
            for i, shape in enumerate(((n, c, h, h), (o, c, k, k), (n, o, out, out)))
        )

        def forward():
            with lib.module.no_grad():
                conv2d(x, w, stride=s, padding=p)

        if direction == "forward":
            return forward
        x.requires_grad = w.requires_grad = True
        y = conv2d(x, w, stride=s, padding=p)

        def gradients():
            x.grad = w.grad = None
            y.backward(grad, retain_graph=True)

        return gradients

    return {layout: make(layout) for layout in lib.layouts(images=True)}


def build_jax(lib, direction, n, c, h, o, k, s, p):
    import jax

    from benchmarks.peers import jax_tools as tools

    out = (h + 2 * p - k) // s + 1

    def make(form, x, w, grad):
        def conv(x, w):
            return jax.lax.conv_general_dilated(
                x, w, (s, s), [(p, p)] * 2, dimension_numbers=(form, "HWIO", form)
            )

        if direction == "forward":
            return tools.blocking(conv, x, w)
        # What the forward pass alone needs is not computed: the result is unused.
        return tools.blocking(lambda x, w, grad: jax.vjp(conv, x, w)[1](grad), x, w, grad)

    w = tools.normal(k, k, c, o, seed=1)
    nhwc = tools.normal(n, h, h, c), w, tools.normal(n, out, out, o, seed=2)
    nchw = tools.normal(n, c, h, h), w, tools.normal(n, o, out, out, seed=2)
    return {"nhwc": make("NHWC", *nhwc), "nchw": make("NCHW", *nchw)}
