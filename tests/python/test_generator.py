# SPDX-License-Identifier: MIT
"""The generator: what it reads, how it reports a bad line, and that committed files are current."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bindings" / "gen"))

import emit_c  # noqa: E402
import emit_python  # noqa: E402
import headers  # noqa: E402
import schema  # noqa: E402

GOOD = """\
// Sums: of everything.
// SPDX-License-Identifier: MIT

//@op total(Tensor x, int[]? dim=none, bool keepdim=False,
//@   reduction reduction=mean) -> Tensor
//@ since: 0.1
//@ grad: yes
//@ python: function method operator(__abs__) alias(sum_all)
//@ doc: Sum of `x`. Along `dim`,
//@   or of all.
//@   Errors: axis.
Tensor total() {}
"""


def parse(text):
    return schema.parse_text(text, "f.cpp")


def test_reads_every_key():
    (op,) = parse(GOOD)
    assert (op.name, op.since, op.grad, op.section) == ("total", "0.1", True, "Sums")
    assert [(a.type, a.name, a.default) for a in op.args] == [
        ("Tensor", "x", None),
        ("int[]?", "dim", "none"),
        ("bool", "keepdim", "false"),
        ("reduction", "reduction", "mean"),
    ]
    assert op.summary == "Sum of `x`."
    assert op.details == ["Along `dim`,", "or of all.", "Errors: axis."]
    assert op.flags == ["function", "method"]
    assert op.names == [("operator", "__abs__"), ("alias", "sum_all")]


def changed(old, new):
    assert old in GOOD
    return GOOD.replace(old, new)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (changed("int[]? dim", "ints dim"), 4, "unknown type `ints` of argument `dim`"),
        (changed("bool keepdim=False", "bool keepdim=no"), 4, "expected true or false"),
        (changed("=mean", "=median"), 4, "one of none, mean, sum"),
        (changed("Tensor x,", "Tensor x=none,"), 4, "expected no default"),
        (changed("bool keepdim=False", "bool keepdim"), 4, "has no default but follows `dim`"),
        (changed("bool keepdim", "bool for"), 4, "cannot name an argument"),
        (changed("Tensor x,", "Tensor x, int x,"), 4, "two arguments are named `x`"),
        (changed(") -> Tensor", " -> Tensor"), 4, "not closed"),
        (changed(") -> Tensor", ")"), 4, "expected `-> result`"),
        (changed("-> Tensor", "-> Tuple"), 4, "unknown result `Tuple`"),
        (changed("-> Tensor", "-> Tensor[m]"), 4, "expected integer arguments"),
        (changed("since: 0.1", "since: first"), 6, "received version `first`"),
        (changed("//@ since: 0.1\n", ""), 4, "lacks the key `since`"),
        (changed("grad: yes", "grad: maybe"), 7, "expected `yes` or `no (reason)`"),
        (changed("grad: yes", "grad: no"), 7, "needs the reason"),
        (changed("grad: yes", "grad: yes\n//@ grad: yes"), 8, "given twice (first in line 7)"),
        (changed("alias(", "nickname("), 8, "received `nickname(sum_all)`"),
        (changed("operator(__abs__)", "private"), 8, "`private` excludes"),
        (changed("operator(__abs__)", "reflected(__radd__)"), 8, "needs two tensor arguments"),
        (changed("//@ doc:", "//@ docs:"), 9, "unknown key `docs`"),
        (changed("//@ doc:", "//@ doc"), 9, "expected `key: value`"),
        (changed("//@op total", "//@ total"), 4, "outside a block"),
    ],
)
def test_a_bad_line_is_reported_with_its_place(text, line, message):
    with pytest.raises(schema.SchemaError) as caught:
        parse(text)
    assert str(caught.value).startswith(f"f.cpp:{line}: ")
    assert message in str(caught.value)


def test_an_op_described_twice_names_both_places(tmp_path):
    (tmp_path / "a.cpp").write_text(GOOD)
    (tmp_path / "b.cpp").write_text("\n" + GOOD)
    with pytest.raises(schema.SchemaError, match=r"b.cpp:5: .* already described in a.cpp:4"):
        schema.parse_files(tmp_path.glob("*.cpp"), tmp_path)


def test_c_and_python_forms_of_an_op():
    (op,) = parse(GOOD)
    assert (
        emit_c.c_declaration(op).split()
        == (
            "tf_status tf_total(const tf_tensor *x, const int64_t *dim, int64_t n_dim, "
            "int32_t keepdim, tf_reduction reduction, tf_tensor **out)"
        ).split()
    )
    assert emit_python.signature(op, hints=False)[0] == (
        'x, dim=None, keepdim=False, reduction="mean", *, axis=UNSET, keepdims=UNSET'
    )
    compile(emit_python.ops_module([op]), "_ops.py", "exec")


HEADER = """\
#ifndef H
#define H
#include "base.h"
#define TINYFIN_LIMIT 3 /* a limit */
#ifdef __cplusplus
extern "C" {
#endif
typedef struct tf_x tf_x;
/* Makes one.
 * @since 0.2 */
TINYFIN_API tf_status tf_x_new(int64_t n,
                               tf_x **out);
#ifdef __cplusplus
}
#endif
#endif
"""


def test_headers_give_functions_types_and_constants():
    header = headers.parse_header("x.h", HEADER, "x.h")
    assert header.items == [
        "#define TINYFIN_LIMIT 3",
        "typedef struct tf_x tf_x;",
        "tf_status tf_x_new(int64_t n, tf_x **out);",
    ]
    assert headers.by_version([header]) == [("0.2", ["tf_x_new"])]


def test_an_exported_function_without_version_is_an_error():
    with pytest.raises(schema.SchemaError, match=r"x.h:11: `tf_x_new` has no comment"):
        headers.parse_header("x.h", HEADER.replace("@since 0.2", ""), "x.h")


def test_committed_files_are_current():
    run = subprocess.run(
        [sys.executable, str(ROOT / "bindings" / "gen" / "generate.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
