"""The Korean of a report's figures: their captions, axes and legends."""

FIGURE_WORDS = {
    # figures
    "A minus B by split, with intervals and seeds": "Split별 A − B, 구간과 seed",
    "Change from the reference by split": "Split별 비교 기준 대비 변화",
    "Diffs by seed": "Seed별 diff",
    "A minus B by step": "Step별 A − B",
    "Smallest diff with 80% power": "검정력 80 %의 최소 diff",
    "Labels of the published rule when there is no effect": "효과가 없을 때 발표된 규칙의 라벨",
    "Training tail (published)\nover seeds": "학습 마지막 구간 (발표된 지표)\nseed",
    "one seed": "seed 하나",
    "predicted side": "예측한 쪽",
    "{method}: of {all} predictions, {supported} supported and {contradicted} contradicted":
        "{method}: 예측 {all}개 중 지지 {supported}개, 반대 {contradicted}개",
    "Held-out users\nseeds and users": "Held-out 유저\nseed와 유저",
    "A minus B (pp)": "A − B (pp)",
    "practically null (±{margin:g} pp)": "사실상 0 (±{margin:g} pp)",
    "{method}: of {all} changes from {reference}, {supported} are shown to go towards the prediction, "
    "{contradicted} away from it":
        "{method}: {reference} 대비 변화 {all}개 중 예측 쪽으로 확인 {supported}개, 반대쪽 {contradicted}개",
    "the published label on the right": "오른쪽은 발표된 라벨",
    "change of A minus B (pp)": "A − B의 변화 (pp)",
    "Training tail: the seeds of one split lie up to {apart:.1f} pp apart":
        "학습 마지막 구간: 한 split의 seed들은 최대 {apart:.1f} pp 떨어져 있음",
    "By chance alone: {labels}": "우연만으로: {labels}",
    "optimiser step": "optimizer step",
    "Training batches: A minus B while the arms train": "학습 batch: 학습 중의 A − B",
    "Held-out pairs: A minus B while the arms train": "Held-out pair: 학습 중의 A − B",
    "; bands: 95% intervals over seeds": "; 띠: seed에 대한 95 % 구간",
    "held-out pairs of both groups": "두 그룹의 held-out pair 수",
    "Adjusted for the splits, {seeds} find diffs from {pp:.1f} pp on with {pairs:,} pairs, and {more} "
    "from {least:.1f} pp with {many:,}":
        "split 수를 보정하면 pair {pairs:,}개에서 {seeds}로 {pp:.1f} pp부터, {many:,}개에서 {more}로 "
        "{least:.1f} pp부터 검출",
    "one test at the 5% level": "유의수준 5 %의 검정 하나",
    "after Holm's adjustment over the splits": "split 전체에 Holm 보정 후",
    "smallest diff (pp), 80% power": "최소 diff (pp), 검정력 80 %",
    "The smallest diff that a mean over seeds tells from zero": "seed 평균으로 0과 구별되는 최소 diff",
    "{seeds} find diffs from {pp:.1f} pp on, and from {adjusted:.1f} pp after adjusting for the splits":
        "{seeds}로 {pp:.1f} pp부터 검출, split 수를 보정하면 {adjusted:.1f} pp부터",
    "share of splits without an effect": "효과가 없는 split 중 비율",
}  # fmt: skip
