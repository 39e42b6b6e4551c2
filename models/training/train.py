"""Trains the ensemble on the simulated city, checks and exports it, and writes the first city. See README.md.

Reads nothing. Writes `models/registry/<version>/`, `infra/local/city/` and `models/reports/city*`. The seeds are fixed:
a second run on the same kind of machine writes the same bytes.
"""

import os

# Threads that wait for each other sleep: on a busy machine they would burn the processor that the other one needs.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import csv
import json
from datetime import date
from pathlib import Path

import numpy as np

import city_report
import extraction
import features as feature_list
import fit
import identity
import parties
import reasons
import registry
import simulation

VERSION = "2026.11.3"
TRAINING_SEED, CITY_SEED, PEOPLE_SEED = 20261101, 7_031, 104_729
FIRMS, HELD_OUT, CITY_FIRMS = 60_000, 30_000, 2_000
# The training population is observed on this day and watched for a year.
OBSERVED_ON, OUTCOMES_UNTIL = date(2025, 10, 31), date(2026, 10, 31)
CITY_AS_OF = date(2026, 10, 31)


def main():
    population = simulation.simulate(TRAINING_SEED, FIRMS + HELD_OUT, OBSERVED_ON)
    features, labels = feature_list.matrix(population), population.defaulted
    spec = feature_list.SPEC
    ensemble = fit.train(spec, features[:FIRMS], labels[:FIRMS], TRAINING_SEED)
    city = simulation.simulate(CITY_SEED, CITY_FIRMS, CITY_AS_OF)
    codes = write_city(registry.ROOT / "infra/local/city", city)
    facts = registry.Facts(
        VERSION, "default within 365 days", TRAINING_SEED,
        {"observed_on": str(OBSERVED_ON), "outcomes_until": str(OUTCOMES_UNTIL), "firms": FIRMS, "data": "synthetic"},
        reasons.OF_FEATURE, reasons.REASONS)
    card = CARD.format(version=VERSION, firms=FIRMS, rate=100 * labels[:FIRMS].mean(), observed=OBSERVED_ON,
                       until=OUTCOMES_UNTIL, features=len(spec.features), learners=len(spec.learners) - 1,
                       trees=spec.trees, leaves=spec.leaves, all_trees=spec.overall_trees)
    metrics = registry.publish(facts, ensemble, (features[:FIRMS], labels[:FIRMS]), (features[FIRMS:], labels[FIRMS:]),
                               card, {"parity.json": extraction.document(city, codes)})
    print(json.dumps(metrics["fused"], indent=1))
    city_report.write(VERSION, ensemble, population, features, FIRMS, TRAINING_SEED)


def write_city(folder: Path, city) -> list:
    """One CSV per source; a firm that the source never delivered has no row. Returns the firm codes."""
    folder.mkdir(parents=True, exist_ok=True)
    basic = identity.register(PEOPLE_SEED, city)
    for source, columns in city.sources.items():
        with open(folder / f"{source}.csv", "w", encoding="utf-8", newline="") as file:
            out = csv.writer(file, lineterminator="\n")
            if source == "basic_information":
                out.writerow(basic)
                out.writerows(zip(*basic.values()))
                continue
            out.writerow(("firm_code", *columns))
            for firm in np.flatnonzero(city.present[source]):
                out.writerow((basic["firm_code"][firm], *(column.cell(firm) for column in columns.values())))
    parties.write(folder)
    return basic["firm_code"]


CARD = """# Firm default ensemble {version}

**Made from synthetic data.** No real firm or person is in it, and its figures say nothing about real borrowers.
Train again on your own book before you lend on it.

- **Says:** the chance that a firm defaults within 365 days, points (600 at odds of 30 to 1, 20 points double them), and
  for each feature what it adds to the log odds.
- **How:** {learners} LightGBM learners ({trees} trees of at most {leaves} leaves each), one for each source and
  dimension, over {features} features of the firm archive, and one over all of them ({all_trees} trees); a logistic fuser
  stacked on their out-of-fold margins, calibrated after Platt. Each feature with a known direction is constrained to it,
  and no learner counts the wrong way round, so that no better value can cost points.
- **Missing:** an empty cell follows the branch learnt for missing values. A learner without a single value is taken out
  of the sum, counts with an offset, and hands weight over to the others; it is never read as zero.
- **Reasons:** exact path-dependent Shapley values of the trees, times the weights of the fuser.
- **Trained on:** {firms} simulated firms observed on {observed}, outcomes until {until}, {rate:.2f} % defaults.
- **Contradictions:** sales declared against revenue stated, receivables against sales declared, revenue, sales and
  contributions against insured employees, housing fund against social insurance, paid-in capital against assets.
- **Late data:** how old statements, declarations and contributions are is a feature of each; the others stay as told.
- **Not used:** who leads the firm, age or sex of anybody, address, district, industry; whether a firm is in a ring.
- **Measured:** `models/reports/city.md`, written by the same command.

## Limits

- The simulation has late, missing, contradictory and faked data, rings and a cycle, but all of them by smooth rules
  that we made up. Real data are worse; expect a lower AUC.
- One observation date, in an even economy: in a downturn more firms default than it says (the report shows how many).
- A firm that hides a source gains when its own figures are worse than what the lack of them costs.
- Firms that nobody would lend to are in the sample; there is no reject inference.
- Banned and revoked firms are a rule of the decision, not of this score.

## Figures
"""

if __name__ == "__main__":
    main()
