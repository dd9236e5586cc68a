"""Generate the survey of the twin's people, with PRISM's marginals.

Counts and moments are those of PRISM's 1,500 people (Kirk et al. 2024). Where PRISM's counts are not
available (employment, marital status, English, regions), they are guesses; those of regions are chosen so
that Europe and the Americas come out near the published group sizes. Traits are drawn independently.
"""

from functools import lru_cache

import numpy as np
import pandas as pd
from scipy.optimize import least_squares
from scipy.stats import norm

LEVEL_COUNTS: dict[str, dict[str, int]] = {
    "age": {
        "18-24 years old": 297, "25-34 years old": 454, "35-44 years old": 237, "45-54 years old": 208,
        "55-64 years old": 197, "65+ years old": 106, "Prefer not to say": 1,
    },
    "gender": {"Male": 757, "Female": 718, "Non-binary / third gender": 21, "Prefer not to say": 4},
    "education": {
        "University Bachelors Degree": 637, "Graduate / Professional degree": 241,
        "Some University but no degree": 236, "Completed Secondary School": 209, "Vocational": 125,
        "Some Secondary": 24, "Completed Primary School": 16, "Prefer not to say": 9, "Some Primary": 3,
    },
    "lm_familiarity": {"Somewhat familiar": 920, "Very familiar": 424, "Not familiar at all": 156},
    "employment_status": {
        "Working full-time": 700, "Working part-time": 260, "Student": 190, "Unemployed, seeking work": 140,
        "Retired": 90, "Homemaker / Stay-at-home parent": 60, "Unemployed, not seeking work": 45,
        "Prefer not to say": 15,
    },
    "marital_status": {
        "Never been married": 830, "Married": 500, "Divorced / Separated": 120, "Prefer not to say": 30,
        "Widowed": 20,
    },
    "english_proficiency": {
        "Native speaker": 890, "Fluent": 380, "Advanced": 170, "Intermediate": 50, "Basic": 10,
    },
    "reside_region": {
        "Europe": 610, "Americas": 570, "Oceania": 140, "Asia": 100, "Africa": 76, "Prefer not to say": 4,
    },
}  # fmt: skip
# Sliders of stated preferences, 0 to 100: mean and standard deviation.
SLIDER_MOMENTS = {
    "values": (54.3, 26.3), "creativity": (69.6, 22.1), "fluency": (86.7, 16.3), "factuality": (88.7, 16.2),
    "diversity": (75.7, 20.0), "safety": (80.2, 25.2), "personalisation": (67.9, 24.6),
    "helpfulness": (89.4, 14.4),
}  # fmt: skip
BORN_WHERE_THEY_LIVE = 0.9  # share of people; the birth region of the others is drawn separately


def survey(users: int, rng: np.random.Generator) -> pd.DataFrame:
    """Draw one row per person: user_id, the traits of LEVEL_COUNTS, birth_region, prefs_* (whole points)."""
    columns: dict[str, np.ndarray | list[str]] = {"user_id": [f"user{number}" for number in range(users)]}
    for trait, counts in LEVEL_COUNTS.items():
        columns[trait] = _draw_levels(counts, users, rng)
    stayed = rng.random(users) < BORN_WHERE_THEY_LIVE
    elsewhere = _draw_levels(LEVEL_COUNTS["reside_region"], users, rng)
    columns["birth_region"] = np.where(stayed, columns["reside_region"], elsewhere)
    for name, (mean, sd) in SLIDER_MOMENTS.items():
        columns[f"prefs_{name}"] = _draw_slider(mean, sd, users, rng)
    return pd.DataFrame(columns)


def _draw_levels(counts: dict[str, int], users: int, rng: np.random.Generator) -> np.ndarray:
    shares = np.array(list(counts.values())) / sum(counts.values())
    return np.array(list(counts), dtype=object)[rng.choice(len(shares), users, p=shares)]


def _draw_slider(mean: float, sd: float, users: int, rng: np.random.Generator) -> np.ndarray:
    """Draw from a normal censored at 0 and 100, which piles people up at 100, as on PRISM's sliders."""
    centre, spread = _uncensored(mean, sd)
    return np.clip(np.round(rng.normal(centre, spread, users)), 0, 100)


@lru_cache
def _uncensored(mean: float, sd: float) -> tuple[float, float]:
    """Return the mean and sd of the normal that has the given moments once it is censored at 0 and 100."""

    def deviation(parameters: np.ndarray) -> list[float]:
        centre, spread = parameters[0], np.exp(parameters[1])
        low, high = -centre / spread, (100 - centre) / spread
        inside, step = norm.cdf(high) - norm.cdf(low), norm.pdf(low) - norm.pdf(high)
        first_moment = centre * inside + spread * step + 100 * norm.sf(high)
        second_moment = (
            (centre**2 + spread**2) * inside
            + 2 * centre * spread * step
            + spread**2 * (low * norm.pdf(low) - high * norm.pdf(high))
            + 100**2 * norm.sf(high)
        )
        variance = max(second_moment - first_moment**2, 0)
        return [float(first_moment - mean), float(np.sqrt(variance) - sd)]

    solution = least_squares(deviation, [mean, np.log(sd)])
    return float(solution.x[0]), float(np.exp(solution.x[1]))
