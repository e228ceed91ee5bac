# SPDX-License-Identifier: MIT
"""Where the C library of this package is:  python -m tinyfin --prefix | --cflags | --libs."""

import argparse
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tinyfin", description=__doc__)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--prefix", action="store_true", help="the folder with include/ and lib/")
    which.add_argument("--cflags", action="store_true", help="flags for the compiler")
    which.add_argument("--libs", action="store_true", help="flags for the linker")
    which.add_argument("--version", action="store_true", help="the version")
    options = parser.parse_args()
    prefix = Path(__file__).resolve().parent
    if not (prefix / "include").is_dir():  # the package of a build tree links to its sources
        import tinyfin._native as native

        prefix = Path(native.__file__).parent
    if options.prefix:
        print(prefix)
    elif options.cflags:
        print(f"-I{prefix / 'include'}")
    elif options.libs:
        print(f"-L{prefix / 'lib'} -Wl,-rpath,{prefix / 'lib'} -ltinyfin")
    else:
        import tinyfin

        print(tinyfin.__version__)


if __name__ == "__main__":
    main()
