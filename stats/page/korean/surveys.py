"""Korean of the pages about pair weights and about groups of users."""

SURVEY_TEXTS = {
    # the page of the weights
    "{study}: WPO weights of {count} pairs": "{study}: pair {count}개의 WPO weight",
    "Weights under the reference model, before training: min(w_chosen w_rejected, 1), sampled alignment. "
    "All intervals are 95 % over users.":
        "학습 전 reference 모델에서의 weight: min(w_chosen w_rejected, 1), sampled alignment. 모든 구간은 "
        "유저에 대한 95 % 구간.",
    "## What explains the variance of log weight": "## log weight의 분산을 설명하는 것",
    "`alone`: share explained by the term by itself; `beyond`: share lost without it. For users: between "
    "users, after all terms.":
        "`alone`: 그 항만으로 설명되는 비율; `beyond`: 그 항을 빼면 잃는 비율. 유저: 모든 항을 고려한 뒤 "
        "유저 간 비율.",
    "## Distribution": "## 분포",
    "`at_cap`: share of pairs whose product is 1 or more before the clamp; `effective`: effective sample "
    "size, (sum w)^2 / sum w^2, as a share of the pairs.":
        "`at_cap`: 자르기 전 곱이 1 이상인 pair의 비율; `effective`: pair 수 대비 유효 표본 크기 (sum w)^2 "
        "/ sum w^2.",
    "## Weight against score gap": "## Weight와 점수 차이",
    "Left out: these pairs came without scores.": "생략: 이 pair에는 점수가 없다.",
    "## Weight by source model": "## Source model별 weight",
    "Left out: these pairs came without the name of the model that wrote them.":
        "생략: 이 pair에는 응답을 쓴 모델의 이름이 없다.",
    "## A against B": "## A와 B 비교",
    "term": "항",
    "score gap": "점수 차이",
    "answer length": "응답 길이",
    "user": "유저",
    "group": "그룹",
    "WPO weight of a pair, min(w_chosen w_rejected, 1)": "pair의 WPO weight, min(w_chosen w_rejected, 1)",
    "mean {mean:.3f} (dashed), {capped:.1%} at the cap of 1": "평균 {mean:.3f} (점선), 상한 1에 걸린 비율 "
                                                              "{capped:.1%}",
    "score gap of the pair (bins of equal size, at their mean)": "pair의 점수 차이 (같은 크기의 구간, 구간 "
                                                                 "평균 위치)",
    "mean weight, 95 % over users": "평균 weight, 유저에 대한 95 % 구간",
    "mean weight, 95 % over users; pairs in brackets": "평균 weight, 유저에 대한 95 % 구간; 괄호 안은 pair "
                                                       "수",
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
    "gap_icc: between-user share of the variance of logit(score gap / 100). consistency: two users' "
    "preferred directions against one user's with itself; 1: all want the same, 0: each their own. "
    "Intervals are 95 %. p of a group: that its users differ; p of A - B: that the groups do.":
        "gap_icc: logit(점수 차이 / 100)의 분산 중 유저 간 비율. consistency: 두 유저의 선호 방향이 "
        "일치하는 정도를 한 유저 안에서의 일치와 견준 값; 1이면 모두 같은 것을 원하고 0이면 각자 다르다. "
        "구간은 95 %. 그룹의 p: 유저들이 서로 다른지; A - B의 p: 그룹이 서로 다른지.",
    "## What they prefer": "## 무엇을 선호하는가",
    "preferred: of the pairs that differ in a feature, the share whose chosen answer has more of it. "
    "user_sd: how far users spread about that beyond chance, p that they do.":
        "preferred: 특성이 다른 pair 중 선호된 응답이 그 특성을 더 많이 가진 비율. user_sd: 우연을 넘어 "
        "유저들이 그 비율에서 퍼진 정도, p는 그 퍼짐에 대한 것.",
    "Between-user share of\nscore-gap variance": "점수 차이 분산 중\n유저 간 비율",
    "Consistency of\ndirections": "선호 방향의\n일관성",
}  # fmt: skip
