"""One target under atheris, in a process of its own: `python -m tests.fuzz.guided TARGET CASES SEED FOLDER`.

New inputs and findings go to the folder; `tally.json` there says how many cases were judged and what the
slowest one took. libFuzzer ends the process by itself, so the tally is written as it grows.
"""

import random
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["collector", "yaml"]):
    from tests.fuzz.bend import bend
    from tests.fuzz.cases import Tally, judge
    from tests.fuzz.targets import CORPUS

_EVERY = 500


def main(name: str, cases: int, seed: int, folder: Path) -> None:
    found = folder / "found"
    found.mkdir(parents=True, exist_ok=True)
    tally = Tally()

    def one(data: bytes) -> None:
        slowest = tally.slowest
        judge(name, data, tally)
        if tally.slowest > slowest or tally.cases % _EVERY == 0 or tally.cases >= cases:
            tally.write(folder)

    def mutate(data: bytes, most: int, number: int) -> bytes:
        dice = random.Random(number)
        if dice.random() < 0.4:
            return bytes(atheris.Mutate(data, most))
        return bend(data, data[::-1] if dice.random() < 0.1 else data, dice)[:most]

    options = [f"-runs={cases}", f"-seed={seed}", "-max_len=8192", "-timeout=20", "-rss_limit_mb=2048"]
    options += [f"-artifact_prefix={folder}/", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *options, str(found), str(CORPUS / name)], one, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
