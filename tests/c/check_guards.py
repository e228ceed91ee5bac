#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""No exception may leave a public function: each one that answers with a status is guarded under
(a part of) its own name; one that answers with a value is guarded or calls noexcept functions only.

check_guards.py ROOT    reads ROOT/include/tinyfin/*.h and ROOT/src, fails naming every offender
"""

import re
import sys
from pathlib import Path

DECLARATION = re.compile(r"\bTINYFIN_API\s+([\w\s*]+?[\s*])(tfx?_\w+)\s*\(")
NOEXCEPT = re.compile(r"\b(\w+)\s*\([^;{}]*?\)\s*(?:const\s*)?noexcept\b")
GUARD = re.compile(r'\bguard\("(\w+)"')
CALL = re.compile(r"\b(\w+)\s*(?:<[^<>;()]*>)?\s*\(")
# Words before a bracket that call nothing, and calls of the standard library that cannot fail.
HARMLESS = set(
    "if for while switch return sizeof static_cast c_str size_t int32_t int64_t tf_dtype TF_TEXT"
    .split()
)


def without_comments(text):
    return re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.S)


def closing(text, start, pair):
    """Index behind the bracket that closes the one at `start`."""
    depth = 0
    for i in range(start, len(text)):
        depth += {pair[0]: 1, pair[1]: -1}.get(text[i], 0)
        if depth == 0:
            return i + 1
    return len(text)


def bodies_of(text, name):
    """The body of every definition of `name`."""
    for match in re.finditer(rf"^[ \t]*(?:[\w:]+[\s*&]+)+{name}\s*\(", text, flags=re.M):
        after = closing(text, match.end() - 1, "()")
        brace = re.compile(r"\s*\{").match(text, after)
        if brace:
            yield text[brace.end() : closing(text, brace.end() - 1, "{}")]


def offences(headers, sources):
    """One line per public function that could let an exception out, or has no definition."""
    functions = [d for header in headers for d in DECLARATION.findall(header)]
    safe = HARMLESS | {name for _, name in functions}
    safe |= {name for text in sources for name in NOEXCEPT.findall(text)}
    found = []
    for result, name in functions:
        bodies = [body for text in sources for body in bodies_of(text, name)]
        if len(bodies) != 1:
            found.append(f"{name}: {len(bodies)} definitions below src/, expected one")
            continue
        guard = GUARD.search(bodies[0])
        unsafe = set(CALL.findall(bodies[0])) - safe
        if guard and guard.group(1) not in name:
            found.append(f"{name}: is guarded under the name of another, {guard.group(1)}")
        elif not guard and result.split() == ["tf_status"]:
            found.append(f"{name}: answers with a status and lacks guard(...)")
        elif not guard and unsafe:
            found.append(f"{name}: has no guard and calls {', '.join(sorted(unsafe))}")
    return found


def self_test():
    """The check itself finds what it is there for."""
    header = "TINYFIN_API tf_status tf_a(int32_t *out);\nTINYFIN_API const char *tf_b(void);"
    good = 'tf_status tf_a(int32_t* out) { return guard("a", [&] { *out = f(1); }); }\n'
    plain = "tf_status tf_a(int32_t* out) { *out = 1; return TINYFIN_OK; }\n"
    named = 'tf_status tf_a(int32_t* out) { return guard("c", [&] { *out = 1; }); }\n'
    value = 'int g(int) noexcept;\nconst char* tf_b(void) { return g(1) ? "" : "x"; }\n'
    failing = "int g(int);\nconst char* tf_b(void) { return g(1); }\n"
    cases = [(good + value, 0), (plain + value, 1), (named + value, 1), (good + failing, 1),
             (good, 1)]  # fmt: skip
    for source, expected in cases:
        got = offences([header], [source])
        assert len(got) == expected, (source, got)


def main():
    self_test()
    root = Path(sys.argv[1])
    headers = [without_comments(p.read_text()) for p in (root / "include/tinyfin").glob("*.h")]
    files = [p for p in (root / "src").rglob("*") if p.suffix in (".h", ".cpp")]
    sources = [without_comments(p.read_text()) for p in files]
    found = offences(headers, sources)
    print("\n".join(found) or "every public function is guarded")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
