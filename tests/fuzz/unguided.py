"""One target with nothing to guide it, in a process of its own: the same judge, wherever atheris is not to be had.

`python -m tests.fuzz.unguided TARGET CASES SEED FOLDER`; a finding is written to the folder.
`python -m tests.fuzz.unguided TARGET FILE` judges one input again.
"""

import sys
from pathlib import Path

from tests.fuzz.cases import FindingError, Tally, judge, unguided


def main(name: str, cases: int, seed: int, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tally = Tally()
    try:
        unguided(name, cases, seed, tally)
    except FindingError as finding:
        (folder / "crash-unguided").write_bytes(finding.data)
        raise
    finally:
        tally.write(folder)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(judge(sys.argv[1], Path(sys.argv[2]).read_bytes(), Tally()))
    else:
        main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
