"""The Korean of the pages about pair weights and about groups of users."""

SURVEY_TEXTS = {
    # the page of the weights
    "{study}: WPO weights of {count} pairs": "{study}: pair {count}개의 WPO weight",
    "WPO weights under the reference model, before training: min(w_chosen w_rejected, 1) with sampled "
    "alignment. All intervals are 95% intervals over users.":
        "학습 전 reference 모델에서의 weight: min(w_chosen w_rejected, 1), sampled alignment. 모든 구간은 "
        "유저에 대한 95 % 구간.",
    "## What explains the variance of log weight": "## log weight의 분산을 설명하는 것",
    "`alone`: the share that a term explains by itself. `beyond`: the share that is lost when the term is "
    "left out. For users, both are the share between users that remains after all other terms.":
        "`alone`: 그 항만으로 설명되는 비율; `beyond`: 그 항을 빼면 잃는 비율. 유저: 모든 항을 고려한 뒤 "
        "유저 간 비율.",
    "## Distribution": "## 분포",
    "`at_cap`: share of pairs whose product is 1 or more before it is capped. `effective`: effective sample "
    "size, (sum w)^2 / sum w^2, as a share of the pairs.":
        "`at_cap`: 자르기 전 곱이 1 이상인 pair의 비율; `effective`: pair 수 대비 유효 표본 크기 (sum w)^2 "
        "/ sum w^2.",
    "## Weight against score gap": "## Weight와 점수 차이",
    "Left out: these pairs have no scores.": "생략: 이 pair에는 점수가 없다.",
    "## Weight by source model": "## Source model별 weight",
    "Left out: these pairs do not name the model that wrote them.":
        "생략: 이 pair에는 응답을 쓴 모델의 이름이 없다.",
    "## A against B": "## A와 B 비교",
    "term": "항",
    "score gap": "점수 차이",
    "answer length": "응답 길이",
    "user": "유저",
    "group": "그룹",
    "WPO weight of a pair, min(w_chosen w_rejected, 1)": "pair의 WPO weight, min(w_chosen w_rejected, 1)",
    "mean {mean:.3f} (dashed), {capped:.1%} at the cap of 1":
        "평균 {mean:.3f} (점선), 상한 1에 걸린 비율 {capped:.1%}",
    "score gap of the pair (mean of each bin; bins of equal size)":
        "pair의 점수 차이 (각 구간의 평균; 같은 크기의 구간)",
    "mean weight, 95% interval over users": "평균 weight, 유저에 대한 95 % 구간",
    "mean weight, 95% interval over users; number of pairs in brackets":
        "평균 weight, 유저에 대한 95 % 구간; 괄호 안은 pair 수",
    "Distribution of the weights": "Weight 분포",
    "Weight against score gap": "Weight와 점수 차이",
    "Weight by source model": "Source model별 weight",
    "Weight of A and B by split": "Split별 A와 B의 weight",
    # the page of the groups
    "{study}: groups": "{study}: 그룹",
    "## Sizes": "## 크기",
    "## How much users differ": "## 유저들은 얼마나 다른가",
    "How much users differ, by split": "Split별 유저 간 차이",
    "{split} is left out: {why}.": "{split} 생략: {why}.",
    "`gap_icc` is left out: the pairs have no score gap, or `data.score_range` does not say how large it can "
    "be.":
        "`gap_icc` 생략: pair에 점수 차이가 없거나, 그 최댓값이 `data.score_range`에 없다.",
    "`gap_icc`: between-user share of the variance of logit(score gap / 100). `consistency`: how well the "
    "preferred directions of two users agree, relative to how well those of one user agree with each other; "
    "1: all users want the same, 0: each user wants something different. The intervals are 95% intervals. "
    "The p of a group tests whether its users differ; the p of A - B tests whether the groups differ.":
        "`gap_icc`: logit(점수 차이 / 100)의 분산 중 유저 간 비율. `consistency`: 두 유저의 선호 방향이 "
        "일치하는 정도를 한 유저 안에서의 일치와 견준 값; 1이면 모두 같은 것을 원하고 0이면 각자 다르다. "
        "구간은 95 %. 그룹의 p: 유저들이 서로 다른지; A - B의 p: 그룹이 서로 다른지.",
    "## What users prefer": "## 무엇을 선호하는가",
    "`preferred`: among the pairs whose answers differ in a feature, the share in which the chosen answer "
    "has more of it. `user_sd`: how far users spread around that share beyond chance; `p` tests whether "
    "they do.":
        "`preferred`: 특성이 다른 pair 중 선호된 응답이 그 특성을 더 많이 가진 비율. `user_sd`: 우연을 넘어 "
        "유저들이 그 비율에서 퍼진 정도; `p`는 그 퍼짐에 대한 것.",
    "Between-user share of\nscore-gap variance": "점수 차이 분산 중\n유저 간 비율",
    "Consistency of\ndirections": "선호 방향의\n일관성",
}  # fmt: skip
