"""The Korean of a report's figures: their captions, axes and legends."""

FIGURE_WORDS = {
    # figures
    "A minus B by split, with intervals and seeds": "Split별 A − B, 구간과 seed",
    "Change from the reference by split": "Split별 비교 기준 대비 변화",
    "Diffs by seed": "Seed별 diff",
    "A minus B by step": "Step별 A − B",
    "Smallest diff with 80% power": "검정력 80 %의 최소 diff",
    "Labels of the published rule when there is no effect": "효과가 없을 때 발표된 규칙의 라벨",
    "Training tail (published)\nt over seeds": "학습 마지막 구간 (발표된 지표)\nseed에 대한 t",
    "Held-out users\nseeds and users": "Held-out 유저\nseed와 유저",
    "A minus B (pp)": "A − B (pp)",
    "practically null (±{margin:g} pp)": "사실상 0 (±{margin:g} pp)",
    "Change from {reference}; the published label on the right":
        "{reference} 대비 변화; 오른쪽은 발표된 라벨",
    "Training tail, A minus B (pp)": "학습 마지막 구간, A − B (pp)",
    "optimiser step": "optimizer step",
    "A minus B (pp of held-out accuracy)": "A − B (held-out accuracy, pp)",
    "A minus B (pp of batch accuracy)": "A − B (batch accuracy, pp)",
    "held-out pairs of both groups": "두 그룹의 held-out pair 수",
    "After adjusting for the splits, with the variances of this study":
        "split 수를 보정한 뒤, 분산은 이 실험의 추정값",
    "one test at the 5% level": "유의수준 5 %의 검정 하나",
    "after Holm's adjustment over the splits": "split 전체에 Holm 보정 후",
    "smallest diff (pp), 80% power": "최소 diff (pp), 검정력 80 %",
    "Mean over seeds against zero, at the observed spread between seeds":
        "seed 평균을 0과 비교, 관측된 seed 간 퍼짐에서",
    "share of splits without an effect": "효과가 없는 split 중 비율",
}  # fmt: skip
