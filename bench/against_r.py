"""Compare estimates with those of R's lme4, MASS and clubSandwich on the same data.

    python -m bench.against_r          (Debian: r-base-core r-cran-lme4 r-cran-mass r-cran-clubsandwich)

One data set is balanced and crossed (seeds x users, equally many pairs per user), where the crossed ANOVA and
REML must agree. The other holds score gaps of a generated twin, for the intraclass correlation, the ordered
logit, and the small-cluster corrections of W2 (clubSandwich has none for an ordered logit). The script
prints a Markdown table with both numbers and their largest relative difference.
"""

import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import logit

from bench.survey_models import traits, twin
from stats.evidence.anova import estimate, mean_squares
from stats.evidence.crossed import CrossedTable, GroupOutcomes
from stats.page.markdown import table
from stats.survey.defaults import W2_CUT
from stats.survey.heterogeneity import heterogeneity
from stats.survey.ordered_logit import binary_logit, gap_quartile, ordered_logit

R_SCRIPT = """
suppressMessages({library(lme4); library(MASS); library(clubSandwich)})
crossed <- read.csv("crossed.csv", colClasses = c(seed = "factor", user = "factor"))
fit <- lmer(x ~ 1 + (1 | seed) + (1 | user), crossed)
gaps <- read.csv("gaps.csv", colClasses = c(user = "factor"))
icc <- lmer(y ~ 1 + (1 | user), gaps)
variances <- as.data.frame(VarCorr(icc))$vcov
gaps$quartile <- factor(gaps$quartile, ordered = TRUE)
names <- setdiff(colnames(gaps), c("user", "y", "quartile"))
logit <- polr(reformulate(names, "quartile"), gaps, method = "logistic")
w2 <- read.csv("w2.csv")
binary <- glm(large ~ age + safety, binomial, w2, control = list(epsilon = 1e-14))
cr2 <- vcovCR(binary, cluster = w2$user, type = "CR2")
single <- coef_test(binary, cr2, test = "Satterthwaite")[-1, ]
joint <- Wald_test(binary, constrain_zero("age", reg_ex = TRUE), cr2, test = "HTZ")
listed <- function(x) paste(sprintf("%.12g", x), collapse = ", ")
numbers <- '"mean": %.12g, "se": %.12g, "icc": %.12g'
cat(sprintf(paste0("{", numbers, ', "beta": [%s], "cr2_se": [%s], "cr2_df": [%s], "htz": [%s]}'),
    fixef(fit), sqrt(as.numeric(vcov(fit))), variances[1] / sum(variances), listed(coef(logit)),
    listed(single$SE), listed(single$df), listed(c(joint$Fstat, joint$df_denom))))
"""
W2_TRAITS = {"age": "18-24 years old", "prefs_safety": None}


def balanced_group(
    rng: np.random.Generator, seeds: int = 8, users: int = 60, pairs: int = 10
) -> GroupOutcomes:
    """Draw seeds x users with seed, user and residual effects, too large for a variance estimate of 0."""
    mean = 0.1 + rng.normal(0, 0.05, (seeds, 1)) + rng.normal(0, 0.1, users)
    sums = pairs * (mean + rng.normal(0, 0.1, (seeds, users)))
    return GroupOutcomes(
        sums, np.full(users, float(pairs)), tuple(map(str, range(users))), np.zeros(users, np.uint64)
    )


def main() -> None:
    group = balanced_group(np.random.default_rng(0))
    anova = estimate(mean_squares(CrossedTable(tuple(range(len(group.sums))), (group,))))
    survey, pairs, kinds = twin(300, 0)
    columns = traits(survey)
    names = [name for name in columns if name != "user_id"]
    fit = ordered_logit(pairs, columns, dict.fromkeys(names)).table
    known = survey[survey["age"] != "Prefer not to say"]
    rated = pairs[pairs["user_id"].isin(known["user_id"])]
    w2 = binary_logit(rated, known, W2_TRAITS)
    halves = np.where(pairs["user_id"].str[4:].astype(int) % 2 == 0, "A", "B")
    measures = heterogeneity(pairs.assign(group=halves), kinds, draws=20).measures
    icc = measures[(measures["measure"] == "gap_icc") & (measures["group"] == "A")].iloc[0]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        means = pd.DataFrame(group.sums / group.pairs).melt(
            ignore_index=False, var_name="user", value_name="x"
        )
        means.rename_axis("seed").reset_index().to_csv(folder / "crossed.csv", index=False)
        people = rated.merge(known, on="user_id")
        people.assign(
            user=people["user_id"],
            large=(people["score_gap"] > W2_CUT).astype(int),
            safety=people["prefs_safety"],
        )[["user", "large", "age", "safety"]].to_csv(folder / "w2.csv", index=False)
        rows = pairs.merge(columns, on="user_id")
        exported = rows[names].assign(
            user=rows["user_id"], y=logit(rows["score_gap"] / 100), quartile=gap_quartile(rows["score_gap"])
        )
        exported.to_csv(folder / "gaps.csv", index=False)
        all_pairs = _run_r(folder)
        exported[halves == "A"].to_csv(folder / "gaps.csv", index=False)
        half_a = _run_r(folder)
    comparisons = {
        "mean of crossed seeds and users": ([anova.value], [all_pairs["mean"]]),
        "its standard error": ([anova.se], [all_pairs["se"]]),
        "gap_icc": ([icc["estimate"]], [half_a["icc"]]),
        "ordered logit, coefficients": (fit["beta"].tolist(), all_pairs["beta"]),
        "W2, CR2 standard errors": (w2.table["se"].tolist(), all_pairs["cr2_se"]),
        "W2, Satterthwaite's degrees of freedom": (w2.table["df"].tolist(), all_pairs["cr2_df"]),
        "W2, joint test of age (HTZ): F, df": (w2.traits.loc[0, ["f", "df"]].tolist(), all_pairs["htz"]),
    }
    lines = [
        {
            "estimate": name,
            "here": ", ".join(f"{value:.6g}" for value in values),
            "R": ", ".join(f"{value:.6g}" for value in r_values),
            "largest relative difference": f"{np.max(np.abs(np.array(values) / np.array(r_values) - 1)):.1e}",
        }
        for name, (values, r_values) in comparisons.items()
    ]
    print(table(pd.DataFrame(lines)))


def _run_r(folder: Path) -> dict[str, list[float]]:
    command = ["Rscript", "-e", R_SCRIPT]
    process = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    numbers: dict[str, list[float]] = json.loads(process.stdout)
    return numbers


if __name__ == "__main__":
    main()
