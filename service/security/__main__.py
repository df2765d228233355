"""`python -m service.security NAME --file keys.toml`: make a key and show its token, once."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import msgspec

from service.security.keys import Key, Scope, add_key, hash_of, new_token


def main() -> int:
    """Make a key; 2 if it can't be."""
    parser = argparse.ArgumentParser(
        prog="python -m service.security",
        description="Make an API key: its token is printed once, its hash put into the file.",
    )
    parser.add_argument("name", help="letters, digits and ._- in the log and the metrics")
    parser.add_argument(
        "--file",
        type=Path,
        default=os.environ.get("SEQSERVE_API_KEYS"),
        help="of keys, TOML or .json; default: SEQSERVE_API_KEYS",
    )
    parser.add_argument(
        "--scopes", nargs="+", choices=[*Scope], default=[Scope.INFER], help="default: infer"
    )
    parser.add_argument("--requests-per-s", type=float, help="on average; default: any")
    parser.add_argument("--burst", type=int, help="at once; default: those of one second")
    parser.add_argument("--max-concurrent", type=int, help="at a time; default: any")
    given = parser.parse_args()
    if given.file is None:
        parser.error("--file or SEQSERVE_API_KEYS must say where keys are kept")
    token = new_token()
    limits = ("requests_per_s", "burst", "max_concurrent")
    fields = {
        "name": given.name,
        "sha256": hash_of(token.encode()),
        "scopes": given.scopes,
        **{name: value for name in limits if (value := getattr(given, name)) is not None},
    }
    try:
        add_key(given.file, msgspec.convert(fields, Key))
    except (ValueError, OSError) as error:
        sys.stderr.write(f"no key made: {error}\n")
        return 2
    sys.stdout.write(f"{token}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
