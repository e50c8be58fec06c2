"""Does each mechanism pay? One arm with it and one without, several seeds, the same test lesions.

Run: python benchmarks/experiments/ablations.py --work FOLDER --steps 200 --seeds 3
     python benchmarks/experiments/ablations.py --work FOLDER --steps 200 --table docs/results

Detectors of liver lesions are trained on phantoms and tested on the phantom's own, independent
lesion model. A killed experiment goes on where it stopped; ``--table`` compares what is there so
far, prints it as Markdown and writes ``ablations.csv``. Phantoms say nothing about patients.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from data import GROWN, ORGAN
from runs import AS_IS, Arm, Bench, run_all
from switches import FEATURES
from tables import Contrast, compared, markdown, write_csv

from scalemai.synthesis.populations.population import TumorPopulation
from scalemai.synthesis.spec import LesionSpec

__all__ = ["ARMS", "CONTRASTS", "main"]

_FACTS = (LesionSpec(organ=ORGAN, diameter_mm=(10.0, 40.0)),)
_PLAIN = (replace(_FACTS[0], kind="metastasis"),)
_ONE_KIND = tuple(replace(spec, kind="metastasis") for spec in GROWN)
_UNIFORM = TumorPopulation.from_yaml(f"{ORGAN}:\n  size_mm: {{uniform: [10, 40]}}\n")
_FEW = 4

_LISTED = (
    Arm("baseline", "fresh tumors in every patch, with all realism"),
    Arm(
        AS_IS,
        "the baseline as it is, elsewhere",
        start="baseline",
        how="as is",
        tests=("target_test", "annotated"),
    ),
    Arm(
        "offline",
        "tumors grown once: three in each host, one of each bin of sizes",
        tumors="frozen",
    ),
    Arm(
        "plain",
        "a ball of constant HU with a hard edge, of one kind, whatever the phase",
        lesions=_PLAIN,
        without=tuple(FEATURES),
    ),
    Arm(
        "targeted",
        "the baseline, trained on with lesions like those it missed in annotated scans",
        lesions="missed",
        start="baseline",
        how="continue",
        share=0.5,
    ),
    Arm(
        "uniform",
        "the baseline, trained on as long with lesions of 10 to 40 mm, all sizes as likely",
        lesions=_UNIFORM,
        start="baseline",
        how="continue",
        share=0.5,
    ),
    Arm(
        "adapted",
        "the baseline, adapted to normal scans of another scanner (scalemai adapt)",
        start="baseline",
        how="adapt",
        share=0.5,
        tests=("test", "target_test"),
    ),
    Arm(
        "transferred",
        f"the baseline, then {_FEW} annotated scans without synthesis (scalemai transfer)",
        real=_FEW,
        tumors="none",
        start="baseline",
        how="transfer",
        share=0.5,
    ),
    Arm(
        "scratch",
        f"random weights, then the same {_FEW} annotated scans and as many steps",
        real=_FEW,
        tumors="none",
        share=0.5,
    ),
    *(
        Arm(f"no-{name}", f"fresh tumors without {text}", without=(name,))
        for name, text in FEATURES.items()
    ),
    Arm("one-kind", "fresh tumors of one kind, metastases", lesions=_ONE_KIND),
    Arm(
        "facts-only", "fresh tumors with the contrast that their kind has, no other", lesions=_FACTS
    ),
    Arm("mass-effect", "fresh tumors that also push tissue aside and dilate ducts", effects=True),
)

ARMS = {arm.name: arm for arm in _LISTED}

CONTRASTS = (
    Contrast("fresh tumors in every patch, not frozen ones", "baseline", "offline"),
    Contrast("all realism together", "baseline", "plain"),
    Contrast("lesions like those missed, not all sizes alike", "targeted", "uniform"),
    Contrast("lesions like those missed, against no further training", "targeted", "baseline"),
    Contrast("adaptation, on the new scanner", "adapted", AS_IS, "target_test"),
    Contrast("adaptation, on the old scanner (what is forgotten)", "adapted", "baseline"),
    Contrast(f"transfer to {_FEW} annotated scans, not from scratch", "transferred", "scratch"),
    *(Contrast(text, "baseline", f"no-{name}") for name, text in FEATURES.items()),
    Contrast("all kinds of lesions, not one", "baseline", "one-kind"),
    Contrast("contrasts beyond those of the kinds", "baseline", "facts-only"),
    Contrast("mass effect and dilated ducts", "mass-effect", "baseline"),
)


def main(given: Sequence[str] | None = None) -> int:
    """Run arms, or write the table of what is there."""
    asked = parser(__doc__).parse_args(given)
    bench = Bench(asked.work, asked.steps, ARMS)
    names = asked.arms.split(",") if asked.arms else list(ARMS)
    unknown = [name for name in names if name not in ARMS]
    if unknown:
        raise SystemExit(f"no arm {', '.join(unknown)}; there are {', '.join(ARMS)}")
    if asked.table is None:
        # Seed by seed, so that there is something to compare early.
        runs = [(ARMS[name], seed) for seed in range(asked.seeds) for name in names]
        return 1 if run_all(bench, runs, workers=asked.workers, say=say) else 0
    rows = compared(bench, CONTRASTS, ARMS)
    write_csv(rows, asked.table / "ablations.csv")
    print(markdown(rows))
    return 0


def say(text: str) -> None:
    """Tell how far it is, at once."""
    print(text, flush=True)


def parser(about: str | None) -> argparse.ArgumentParser:
    """The options that experiments share."""
    options = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--work", type=Path, required=True, help="folder of all that is made")
    options.add_argument("--steps", type=int, default=200, help="of a whole training")
    options.add_argument("--seeds", type=int, default=3, help="seeds 0 to N - 1 of every arm")
    options.add_argument("--arms", help="some arms only, separated by commas")
    options.add_argument("--workers", type=int, default=1, help="processes")
    options.add_argument("--table", type=Path, help="compare what is there; folder to write to")
    return options


if __name__ == "__main__":
    sys.exit(main())
