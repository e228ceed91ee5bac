#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""No exception may leave a public function: each one that answers with a status is guarded, each
other one is noexcept (and guarded too where it can fail inside).

check_guards.py ROOT    reads ROOT/include/tinyfin/*.h and ROOT/src, fails naming every offender
"""

import re
import sys
from pathlib import Path

DECLARATION = re.compile(r"\bTINYFIN_API\s+([\w\s*]+?[\s*])(tfx?_\w+)\s*\(")
CAN_FAIL = re.compile(r"\b(TF_CHECK|fail|throw)\b")


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


def definitions(text, name):
    """(what stands between the parameters and the body, the body) of every definition of `name`."""
    for match in re.finditer(rf"^[ \t]*(?:[\w:]+[\s*&]+)+{name}\s*\(", text, flags=re.M):
        after = closing(text, match.end() - 1, "()")
        brace = re.compile(r"\s*(noexcept)?\s*\{").match(text, after)
        if brace:
            end = closing(text, brace.end() - 1, "{}")
            yield bool(brace.group(1)), text[brace.end() : end]


def offences(headers, sources):
    """One line per public function that could let an exception out, or has no definition."""
    found = []
    for header in headers:
        for result, name in DECLARATION.findall(without_comments(header)):
            bodies = [d for text in sources for d in definitions(text, name)]
            if len(bodies) != 1:
                found.append(f"{name}: {len(bodies)} definitions below src/, expected one")
                continue
            noexcept, body = bodies[0]
            guard = f'guard("{re.sub("^tfx?_", "", name)}"'
            if result.split() == ["tf_status"]:
                if guard not in body:
                    found.append(f"{name}: answers with a status and lacks {guard}, ...)")
            elif not noexcept:
                found.append(f"{name}: answers with a value and is not noexcept")
            elif CAN_FAIL.search(body) and "guard(" not in body:
                found.append(f"{name}: is noexcept, but fails inside without {guard}, ...)")
    return found


def self_test():
    """The check itself finds what it is there for."""
    header = "TINYFIN_API tf_status tf_a(int32_t *out);\nTINYFIN_API const char *tf_b(void);"
    good = 'tf_status tf_a(int32_t* out) { return guard("a", [&] { *out = f(1); }); }\n'
    plain = "tf_status tf_a(int32_t* out) { *out = 1; return TINYFIN_OK; }\n"
    named = 'tf_status tf_a(int32_t* out) { return guard("c", [&] { *out = 1; }); }\n'
    value = 'const char* tf_b(void) noexcept { return ""; }\n'
    loud = 'const char* tf_b(void) { return ""; }\n'
    failing = "const char* tf_b(void) noexcept { TF_CHECK(x, 1); return y; }\n"
    cases = [(good + value, 0), (plain + value, 1), (named + value, 1), (good + loud, 1),
             (good + failing, 1), (good, 1)]  # fmt: skip
    for source, expected in cases:
        got = offences([header], [source])
        assert len(got) == expected, (source, got)


def main():
    self_test()
    root = Path(sys.argv[1])
    headers = [p.read_text() for p in sorted((root / "include/tinyfin").glob("*.h"))]
    sources = [without_comments(p.read_text()) for p in sorted((root / "src").rglob("*.cpp"))]
    found = offences(headers, sources)
    print("\n".join(found) or "every public function is guarded")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
