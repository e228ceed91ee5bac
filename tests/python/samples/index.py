# SPDX-License-Identifier: MIT
"""Samples of indexing ops. Index expressions of all kinds: test_indexing.py."""

import numpy as np
from opcheck import Sample

NONE = -(1 << 63)
ALL = (1, NONE, NONE, NONE)


def samples(rng):
    a = rng.normal(size=(3, 4, 5))
    i = np.array([2, 0, -1, 2])
    along = rng.integers(0, 4, size=(3, 2, 5))
    mask = rng.random((3, 4)) < 0.5
    m = rng.normal(size=(2, 4, 3))

    def scatter_add(x, dim, index, source):
        out = x.copy()
        for at in np.ndindex(index.shape):
            to = list(at)
            to[dim] = index[at]
            out[tuple(to)] += source[at]
        return out

    def assigned(x, index, value):
        out = np.array(x)
        out[index] = value
        return out

    return [
        Sample("getitem", (a, (0, 1, 0, 0, 1, 3, NONE, -2), []),
               reference=lambda x, s, t: x[1, 3::-2], dtypes="all", name="basic"),
        Sample("getitem", (a, (*ALL, 4, 0, 0, 0), [i]), reference=lambda x, s, t: x[:, t[0]],
               dtypes="all", name="array"),
        Sample("getitem", (a, (4, 0, 0, 0, 2, 0, 0, 0, 4, 1, 0, 0), [i[:, None], i]),
               reference=lambda x, s, t: x[t[0], None, t[1]], name="apart"),
        Sample("getitem", (a, (4, 0, 0, 0), [mask]), reference=lambda x, s, t: x[t[0]],
               name="mask"),
        Sample("getitem", (a, (4, 0, 0, 0), [i[:0]]), reference=lambda x, s, t: x[t[0]],
               name="empty"),
        Sample("setitem_", (a, (0, 1, 0, 0, *ALL, 1, NONE, NONE, 2), [], a[0, :, :3]),
               reference=lambda x, s, t, v: assigned(x, np.s_[1, :, ::2], v), dtypes="all",
               name="basic"),
        Sample("setitem_", (a, (*ALL, 4, 0, 0, 0), [i], a[:, :1]),
               reference=lambda x, s, t, v: assigned(x, np.s_[:, t[0]], v), dtypes="all",
               name="array"),
        Sample("setitem_", (a, (4, 0, 0, 0), [i], rng.normal(size=(4, 4, 5))),
               reference=lambda x, s, t, v: assigned(x, t[0], v), name="duplicates"),
        Sample("setitem_", (a, (4, 0, 0, 0), [mask], np.array(2.0)),
               reference=lambda x, s, t, v: assigned(x, t[0], v), name="mask"),
        Sample("gather", (a, 1, along), reference=lambda x, d, j: np.take_along_axis(x, j, d),
               dtypes="all"),
        Sample("gather", (a, 0, along[:, :0]), reference=lambda x, d, j: np.zeros((3, 0, 5)),
               name="empty"),
        Sample("scatter_add", (a, 1, along, a[:, 1:3]), reference=scatter_add, dtypes="number"),
        Sample("scatter_add", (a, 1, along * 0, a), reference=scatter_add, name="duplicates"),
        Sample("index_select", (a, 1, i), reference=lambda x, d, j: x[:, j], dtypes="all"),
        Sample("index_select", (a, -1, i[:0]), reference=lambda x, d, j: x[:, :, :0]),
        Sample("take_along_dim", (a, along[:1], 1),
               reference=lambda x, j, d: np.take_along_axis(x, j, d)),
        Sample("take_along_dim", (a, i), reference=lambda x, j: x.reshape(-1)[j]),
        Sample("masked_select", (a, mask[:, :, None]),
               reference=lambda x, k: x[np.broadcast_to(k, x.shape)]),
        Sample("nonzero", (np.round(a),), reference=lambda x: np.stack(np.nonzero(x), 1),
               dtypes="all", name="", grad=()),
        Sample("count_nonzero", (np.round(a),), reference=np.count_nonzero, dtypes="all"),
        Sample("tril", (m, -1), reference=np.tril, dtypes="all"),
        Sample("triu", (m, 1), reference=np.triu, dtypes="all"),
        Sample("tril", (m[:, :0],), reference=np.tril, name="empty"),
        Sample("one_hot", (np.array([[0, 2], [1, 1]]), 3), reference=lambda j, n: np.eye(n)[j]),
    ]  # fmt: skip
