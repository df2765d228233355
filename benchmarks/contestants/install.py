"""`python -m benchmarks.contestants.install [PEER ...]`: a virtualenv for each peer, pinned."""

from __future__ import annotations

import argparse
import subprocess
import sys
import venv
from pathlib import Path

from benchmarks.contestants.peer import HERE, environments


def peers() -> list[str]:
    """Those with a requirements file, by name."""
    return sorted(path.parent.name for path in HERE.glob("*/requirements.txt"))


def install(peer: str) -> Path:
    """Make the peer's virtualenv, or mend it to the pinned releases; its folder.

    Raises:
        subprocess.CalledProcessError: pip could not.
    """
    folder = environments() / peer
    if not (folder / "bin" / "python").exists():
        venv.create(folder, with_pip=True)
    pip: list[str | Path] = [
        folder / "bin" / "python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-cache-dir",
    ]
    subprocess.run([*pip, "--requirement", HERE / peer / "requirements.txt"], check=True)
    return folder


def main() -> int:
    """Install those named, or all; 1 if one can't be, the others all the same."""
    parser = argparse.ArgumentParser(description="Make the peers' virtualenvs.")
    parser.add_argument("peers", nargs="*", metavar="PEER", help=f"of {', '.join(peers())}")
    wanted = parser.parse_args().peers or peers()
    if unknown := set(wanted) - set(peers()):
        parser.error(f"no such peer: {', '.join(sorted(unknown))}")
    failed = 0
    for peer in wanted:
        try:
            print(f"{peer:12} {install(peer)}", flush=True)
        except subprocess.CalledProcessError as error:
            failed += 1
            print(f"{peer:12} FAILED {error}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
