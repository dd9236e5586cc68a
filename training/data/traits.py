"""List the traits of PRISM's survey that the survey models use.

This module imports no pandas, because a study file is read without it.
"""

# The reference level of each trait, from which its coefficients are measured; None for a numeric trait.
PRISM_TRAITS: dict[str, str | None] = {
    "age": "18-24 years old",
    "gender": "Male",
    "education": "University Bachelors Degree",
    "lm_familiarity": "Somewhat familiar",
    "reside_region": "Europe",
    **dict.fromkeys(
        f"prefs_{name}" for name in ("factuality", "diversity", "safety", "personalisation", "helpfulness")
    ),
}
