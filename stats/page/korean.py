"""Korean of what a report says, beside its English: sentences with named places, and words of tables.

Terms are those of the study's author: split, seed, pair, weight, arm, held-out and the published labels stay.
`tests/test_korean.py` fails on a text without an entry, and on an entry whose named places differ.
"""

KOREAN = {
    # headings
    "## Setup": "## 실험 설정",
    "## Completeness": "## 완료 현황",
    "## Weights": "## Weight 분석",
    "## Baselines (all pairs)": "## Baseline (전체 pair)",
    "## Splits: the published verdict, and the evidence": "## Split별 비교: 발표된 판정과 근거",
    "### Change from {reference}": "### {reference} 대비 변화",
    "## Diffs by seed (pp, A minus B)": "## Seed별 diff (pp, A − B)",
    "### Training tail": "### 학습 마지막 구간",
    "### Held-out users": "### Held-out 유저",
    "## Cross-check with another version": "## Cross-check: 다른 버전과 비교",
    "## Learning curves": "## 학습 곡선",
    "## What the evidence supports": "## 근거가 지지하는 것",
    "### Evidence from held-out users": "### Held-out 유저에서 얻은 근거",
    "#### Change from {reference}, same pairs, same seeds": "#### {reference} 대비 변화 (같은 pair, 같은 "
                                                            "seed)",
    "#### Train group x test group": "#### 학습 그룹 × 평가 그룹",
    "### Verdicts, seed by seed": "### Seed를 하나씩 늘려 가며 내린 판정",
    "### The published metric: what its seeds can say": "### 발표된 지표: seed만으로 말할 수 있는 것",
    "#### Would one more seed of {reference} look like the method?":
        "#### {reference} seed를 하나 더 돌려도 이런 값이 나올까?",
    "### Which cell decides": "### 어느 셀이 결론을 좌우하는가",
    "### Power: what this design could have seen": "### 검정력: 이 설계로 검출할 수 있었던 크기",
    "### What the published rule prints when nothing is there": "### 효과가 없을 때 발표된 규칙이 내는 라벨",
    # head
    "{study}: {there} of {all} cells published": "{study}: 셀 {all}개 중 {there}개가 발표된 값",
    "{study}: {there} of {all} cells finished": "{study}: 셀 {all}개 중 {there}개 완료",
    "# {text}, on generated data": "# {text} (생성 데이터)",
    "**Generated data**: the people, their ratings and the answers in this study were generated.":
        "**생성 데이터**: 이 실험의 유저, 평점, 응답은 모두 생성된 것이다.",
    "**Published numbers** stand in this report: {published} cells marked `published` were not run here "
    "and passed no gate.":
        "**발표된 수치**가 포함되어 있다: `published`로 표시된 셀 {published}개는 여기서 실행하지 않았고 "
        "유효성 검사도 거치지 않았다.",
    "**Incomplete.** A split with a missing cell has no verdict. Missing or failed:":
        "**미완료.** 셀이 하나라도 빠진 split에는 판정이 없다. 빠졌거나 실패한 셀:",
    "**Verdicts withheld**: {count} cells failed a validity gate: {names}.":
        "**판정 보류**: 셀 {count}개가 유효성 검사를 통과하지 못했다: {names}.",
    "**Evidence**: of {printed} labels that the published rule prints, {supported} are supported by these "
    "data (last section).":
        "**근거**: 발표된 규칙이 낸 라벨 {printed}개 중 이 데이터가 지지하는 것은 {supported}개다 (마지막 "
        "절).",
    " (all pairs)": " (전체 pair)",
    " and ": ", ",
    # setup
    "{source}: {pairs} pairs of {users} users": "{source}: 유저 {users}명의 pair {pairs}개",
    "{share:.0%} of users": "유저의 {share:.0%}",
    "{name} (published: {file})": "{name} (발표된 값: {file})",
    "{steps} steps of {pairs} pairs, learning rate {rate:g}, {dtype}":
        "{steps} steps, batch {pairs} pairs, LR {rate:g}, {dtype}",
    "{tokens} tokens: an answer of {least:.0%} to {most:.0%} of an arm's training pairs truncated; up to "
    "{dropped:.0f} of a cell's pairs had no room for one":
        "{tokens} tokens: arm별 학습 pair의 {least:.0%}~{most:.0%}에서 응답이 잘렸고, 응답이 들어갈 자리가 "
        "없는 pair는 셀당 최대 {dropped:.0f}개",
    "accuracy of the implicit reward on the training tail, A minus B":
        "학습 마지막 구간의 implicit reward accuracy, A − B",
    ", read as multiples of 1/128": " (1/128의 배수로 읽음)",
    "a table of {count} published diffs; nothing was trained or scored here":
        "발표된 diff {count}개의 표; 여기서 학습하거나 채점한 것은 없음",
    "study": "실험",
    "source": "출처",
    "model": "모델",
    "data": "데이터",
    "dropped": "제외",
    "length limit": "길이 제한",
    "held out": "held-out",
    "splits": "split 수",
    "seeds": "seed",
    "methods": "method",
    "reference": "비교 기준",
    "training": "학습",
    "metric": "지표",
    "predicted, but without any diff": "예측은 있으나 diff가 없는 split",
    "{count} {why}": "{why} {count}",
    "empty answer": "빈 응답",
    "identical answers": "동일한 두 응답",
    "tie": "동점",
    "the same pair again": "중복 pair",
    # completeness, weights, baselines
    "{passed} of {cells} cells passed the validity gates: loss log 2 at step 0, both arms moved, equal "
    "pairs and near-equal tokens in both arms, geometry and data as the reference's.":
        "셀 {cells}개 중 {passed}개가 유효성 검사를 통과했다: step 0의 loss가 log 2, 두 arm 모두 움직임, "
        "두 arm의 pair 수가 같고 token 수가 비슷함, 실행 환경과 데이터가 비교 기준과 동일.",
    "Weights of the pairs that the arms trained on, over all steps: mean over seeds, smallest of all "
    "seeds, and the share at the cap of 1. What decides a weight: python -m orchestrator.weights.":
        "각 arm이 학습한 pair의 weight (전체 step): seed 평균, 전체 seed 중 최솟값, 상한 1에 걸린 비율. "
        "무엇이 weight를 결정하는지는 python -m orchestrator.weights.",
    # splits
    "Mean, population standard deviation and count over seeds of A minus B on the training tail, and the "
    "published rule's label. The rule knows no uncertainty; the last two columns do.":
        "학습 마지막 구간에서 A − B의 seed 평균, 모표준편차, 예측과 부호가 같은 seed 수, 그리고 발표된 "
        "규칙의 라벨. 이 규칙은 불확실성을 고려하지 않으며, 마지막 두 열이 이를 고려한다.",
    "Changes, how many of the predicted splits and which:": "변화 요약 (예측된 split 중 몇 개, 어느 것):",
    "No other method has a split to compare.": "비교할 다른 method의 split이 없다.",
    # cross-check
    "No method has a verdict on the same variable in both.": "두 버전에서 같은 변수에 판정이 있는 method가 "
                                                             "없다.",
    "Same verdict: {agreed} of {all}; same direction: {same} of {all}.":
        "판정 일치: {all}개 중 {agreed}개, 방향 일치: {all}개 중 {same}개.",
    # curves
    "Training-batch accuracy, A minus B, mean of the logged steps {start} to {end}:":
        "학습 batch accuracy의 A − B, step {start}~{end} 기록값의 평균:",
    "First logged step with accuracy of at least 60 %:": "Accuracy가 처음 60 % 이상으로 기록된 step:",
    "never": "없음",
    # what the evidence supports
    "From diffs by seed (there are no held-out outcomes)": "Seed별 diff 기준 (held-out 결과 없음)",
    "From held-out outcomes": "Held-out 결과 기준",
    "From held-out outcomes (published numbers have none: for them, and for changes from them, diffs by "
    "seed)":
        "Held-out 결과 기준 (발표된 수치에는 없으므로, 그 수치와 그에 대비한 변화는 seed별 diff 기준)",
    "{source}: a label is supported if the interval, adjusted for the number of splits, lies on its side "
    "of zero, or inside ±{margin:g} pp for a label that claims nothing is there. A label that is not "
    "supported may be true; these data do not show it.":
        "{source}: split 수에 대해 보정한 구간이 라벨이 말하는 쪽으로 0에서 벗어나 있으면, 차이가 없다는 "
        "라벨이면 구간이 ±{margin:g} pp 안에 들면 그 라벨은 지지된다. 지지되지 않은 라벨도 참일 수 있으나, "
        "이 데이터로는 보일 수 없다.",
    "No split has a label.": "라벨이 있는 split이 없다.",
    "- After Holm's adjustment, {differ} of {tested} means of {reference} differ from zero; the smallest p "
    "is {p}.":
        "- Holm 보정 후 {reference}의 평균 {tested}개 중 0과 다른 것은 {differ}개이며, 가장 작은 p는 "
        "{p}이다.",
    "- The {level:.0%} prediction interval of one more {reference} seed holds {method}'s mean in {inside} "
    "of {splits} splits. The published rule prints: {labels}.":
        "- {reference} seed 하나를 더 돌렸을 때의 {level:.0%} 예측구간이 split {splits}개 중 "
        "{inside}개에서 {method}의 평균을 포함한다. 발표된 규칙의 라벨: {labels}.",
    "The published metric, the training tail, plainly:": "발표된 지표(학습 마지막 구간)를 그대로 말하면:",
    # evidence
    "Accuracy on pairs of users no arm trained on, own group, A minus B, pp. {level} intervals by crossed "
    "ANOVA over seeds and users with Satterthwaite's degrees of freedom; they capture what the last column "
    "says. `adjusted`: all predicted splits of the method hold together. `null p`: two one-sided tests "
    "that the truth is inside ±{margin:g} pp. `effect / null`: over the spread of the null control's seeds.":
        "어느 arm도 학습하지 않은 유저의 pair에 대한 accuracy, 자기 그룹 기준, A − B, pp. {level} 구간은 "
        "seed와 유저의 교차 분산분석(Satterthwaite 자유도)이며, 마지막 열에 적힌 불확실성을 반영한다. "
        "`보정`: 그 method의 예측된 split 전체가 동시에 성립. `null p`: 참값이 ±{margin:g} pp 안에 있다는 "
        "두 단측검정(TOST). `효과 / null`: null 대조군 seed의 퍼짐으로 나눈 값.",
    "The own-group diff is the sum of two parts: what the arms do to the same pairs, and how the groups' "
    "pairs differ under the same arms. The own-group advantage is what an arm gains on its own group "
    "beyond both.":
        "자기 그룹 diff는 두 부분의 합이다: 같은 pair에서의 arm 차이, 그리고 같은 arm에서의 그룹 간 pair "
        "차이. 자기 그룹 이점은 이 둘을 넘어 arm이 자기 그룹에서 얻는 몫이다.",
    "Every interval, and which uncertainty it captures": "모든 구간과 각 구간이 반영하는 불확실성",
    "t intervals over seeds of the training-tail diffs; Holm's adjustment over a method's splits.":
        "학습 마지막 구간 diff의 seed에 대한 t 구간; Holm 보정은 한 method의 split 전체에 대해.",
    "Where the {level} prediction interval of one more {reference} seed holds the method's mean, the "
    "method looks like more seeds of the reference.":
        "{reference} seed 하나를 더 돌렸을 때의 {level} 예측구간이 method의 평균을 포함하면, 그 method는 "
        "비교 기준의 seed를 더 돌린 것과 구별되지 않는다.",
    "{cell} {before} to {after}": "{cell} {before} → {after}",
    "Every label and count again with one cell, one split or one seed gone; what nothing alters is left "
    "out. With all cells: {counts}.":
        "셀, split 또는 seed를 하나씩 뺐을 때의 라벨과 개수; 아무것도 바뀌지 않는 경우는 생략. 전체 셀: "
        "{counts}.",
    "No single loss changes a label.": "하나를 빼도 라벨은 바뀌지 않는다.",
    # power, rule
    "The published metric. Smallest diff seen with 80 % power (one test at 5 %):":
        "발표된 지표. 검정력 80 %로 검출되는 최소 diff (유의수준 5 %의 검정 하나):",
    "What a stated diff would need. Seeds of the mean against zero, with the pairs there are (`adjusted`: "
    "after Holm over the splits); or pairs behind each accuracy, for the mean of the reference's number of "
    "seeds, and for one seed against those. The observed spread between seeds is taken as sampling of the "
    "tail's pairs, which more pairs buy down, and a rest, which more seeds do.":
        "주어진 diff를 검출하는 데 필요한 것. 현재 pair 수에서 평균을 0과 비교하는 데 필요한 seed 수 "
        "(`보정`: split 전체에 대한 Holm 보정 후); 또는 각 accuracy에 필요한 pair 수: 비교 기준과 같은 "
        "seed 수의 평균, 그리고 그에 대비한 seed 하나. 관측된 seed 간 퍼짐은 마지막 구간 pair의 "
        "표집오차(pair를 늘리면 줄어듦)와 나머지(seed를 늘려야 줄어듦)로 본다.",
    "Held-out users. Smallest diff seen with 80 % power, by the variances found here:":
        "Held-out 유저. 여기서 추정한 분산으로, 검정력 80 %로 검출되는 최소 diff:",
    "Seeds (with these held-out pairs), or held-out pairs (with these seeds), that would be needed:":
        "필요한 seed 수 (현재 held-out pair에서) 또는 held-out pair 수 (현재 seed에서):",
    "none is enough": "늘려도 부족",
    "Simulated: both arms equally accurate, {pairs} independent pairs behind each accuracy, the seeds of "
    "this study. Share of splits with each label:":
        "시뮬레이션: 두 arm의 accuracy가 같고, accuracy마다 독립인 pair {pairs}개, seed 수는 이 실험과 "
        "같음. 라벨별 split 비율:",
    "{reference} has {missed} directed splits at MISMATCH. Of studies by a method in which nothing is "
    "there, two or more of them would be FIXED in {shares}.":
        "{reference}에서 방향이 예측된 split 중 {missed}개가 MISMATCH이다. 아무 효과가 없는 method라도 "
        "그중 둘 이상이 FIXED로 나올 확률: {shares}.",
    # verdicts, seed by seed
    "Every split was judged after each of its seeds, {start} to {most}, and got no more once settled: "
    "{cells} cells instead of {all}.":
        "split마다 seed {start}개부터 {most}개까지 하나 늘 때마다 판정했고, 결론이 난 split에는 seed를 더 "
        "쓰지 않았다: 셀 {all}개 대신 {cells}개.",
    " Verdicts that are still open: {still}.": " 아직 미결인 판정: {still}개.",
    "Looking so often is accounted for. Over all looks and predicted splits of a method, a difference is "
    "claimed where there is none with at most {error:.0%} (Holm over sequential p values), and a diff called "
    "practically null (inside ±{margin:g} pp) that is not with at most {error:.0%}. The repeated intervals "
    "capture new seeds and new users; those of all looks and predicted splits hold their truths together "
    "with {level:.0%}, so Holm may settle a split whose interval still touches zero. An exploratory split's "
    "interval holds for it alone. A diff that settled early is on average printed a little too large; its "
    "interval allows for that.":
        "이렇게 여러 번 판정하는 것을 보정했다. 한 method의 모든 판정 시점과 예측된 split을 통틀어, 없는 "
        "차이를 있다고 할 확률은 최대 {error:.0%}(순차 p 값에 Holm), 사실상 0(±{margin:g} pp 안)이 아닌 "
        "diff를 그렇다고 할 확률도 최대 {error:.0%}이다. 반복 구간은 새 seed와 새 유저를 반영하며, 모든 "
        "시점과 예측된 split의 구간이 함께 참값을 포함할 확률이 {level:.0%}이다. 그래서 구간이 아직 0에 "
        "걸친 split도 Holm으로 결론이 날 수 있다. exploratory split의 구간은 그 split 하나에만 해당한다. "
        "일찍 결론이 난 diff는 평균적으로 조금 크게 출력되며, 구간은 이를 감안한다.",
    "`seeds to decide` (with these pairs) and `pairs to decide` (held-out, with these seeds) would each "
    "settle the split with 80 % power if the printed diff were the truth; `cheaper` is what has to grow by "
    "the smaller factor. `chance`: that seeds up to {most} decide. A split stops where no number of further "
    "seeds decides with a chance of {worth:g} for each of them.":
        "출력된 diff가 참이라면 `필요한 seed`(현재 pair에서) 또는 `필요한 pair`(held-out, 현재 seed에서)가 "
        "각각 검정력 80 %로 결론을 낸다. `더 싼 쪽`은 늘려야 하는 배수가 작은 쪽이다. `가능성`: seed를 "
        "{most}개까지 늘려 결론이 날 확률. seed를 몇 개 더 늘려도 결론이 날 확률이 더한 seed 하나당 "
        "{worth:g}에 못 미치면 그 split은 멈춘다.",
    # headings of tables
    "settled at": "결론이 난 seed 수",
    "repeated interval": "반복 구간",
    "seeds to decide": "필요한 seed",
    "pairs to decide": "필요한 pair",
    "cheaper": "더 싼 쪽",
    "chance": "가능성",
    "note": "비고",
    "value": "값",
    "mean": "평균",
    "planned": "계획",
    "there": "있음",
    "published": "발표된 값",
    "failed": "실패",
    "missing": "없음",
    "tail accuracy %": "마지막 구간 accuracy %",
    "predicted": "예측",
    "mean pp": "평균 pp",
    "std pp": "표준편차 pp",
    "direction": "방향",
    "published verdict": "발표된 판정",
    "evidence": "근거",
    "label supported": "라벨 지지",
    "method's": "method 판정",
    "change": "변화",
    "change pp": "변화 pp",
    "adjusted interval": "보정 구간",
    "step0": "step 0",
    "moved": "움직임",
    "balance": "균형",
    "same_run": "같은 조건",
    "users": "유저",
    "pairs": "pair",
    "adjusted": "보정",
    "sign flip": "부호 뒤집기 p",
    "effect / null": "효과 / null",
    "captures": "반영하는 불확실성",
    "quantity": "추정 대상",
    "interval": "구간",
    "estimate": "추정값",
    "one more reference seed": "비교 기준 seed 하나 더",
    "holds the method": "method 포함",
    "labels": "라벨",
    "printed": "출력",
    "not supported": "지지되지 않음",
    "without": "제외",
    "counts then": "그때의 개수",
    "label of": "라벨 대상",
    "share": "비율",
    "logged steps": "기록된 step",
    "A/steps_to_60pct": "A: 60 %까지 step",
    "B/steps_to_60pct": "B: 60 %까지 step",
    "design": "설계",
    "spread": "퍼짐",
    "sd_pp": "표준편차 pp",
    "smallest_pp": "최소 diff pp",
    "smallest_adjusted_pp": "최소 diff pp (보정)",
    "seed_sd": "seed 표준편차",
    "n_seeds": "seed",
    "diff_pp": "diff pp",
    "seeds, adjusted": "seed (보정)",
    "pairs, mean of seeds": "pair (seed 평균)",
    "pairs, one seed against the reference": "pair (비교 기준 대비 seed 하나)",
    "variable": "변수",
    "verdict": "판정",
    "mean pp, other": "평균 pp (다른 버전)",
    "verdict, other": "판정 (다른 버전)",
    "Agree?": "일치?",
    "same direction": "방향 일치",
    # words of tables
    "yes": "예",
    "no": "아니오",
    "none": "없음",
    "verdicts": "판정",
    "changes": "변화",
    "supported": "지지됨",
    "contradicted": "반대됨",
    "practically null": "사실상 0",
    "undecided": "판단 유보",
    "open": "미결",
    "more seeds are unlikely to decide": "seed를 늘려도 결론이 날 가능성이 작음",
    "differs from zero, by less than the margin": "0과 다르지만 한계보다 작음",
    "exploratory: outside the family of tests, no seeds beyond the first":
        "exploratory: 검정 집합 밖, 처음 seed만 사용",
    "the budget is spent": "예산 소진",
    "A minus B": "A − B",
    "null control": "null 대조군",
    "crossed ANOVA": "교차 분산분석",
    "pigeonhole bootstrap": "pigeonhole 부트스트랩",
    "t on seed means": "seed 평균의 t",
    "mixed model": "혼합모형",
    "own groups": "자기 그룹",
    "arms on the same pairs": "같은 pair에서 arm 차이",
    "pairs under the same arms": "같은 arm에서 pair 차이",
    "own-group advantage": "자기 그룹 이점",
    "observed between seeds": "관측된 seed 간 퍼짐",
    "{number} seed": "seed {number}개",
    "{number} split": "split {number}개",
    # what intervals capture, and why one is not there
    "new seeds and new users": "새 seed와 새 유저",
    "new users under this one seed; nothing about other seeds": "이 seed 하나에서의 새 유저; 다른 seed에 "
                                                                "대해서는 알 수 없음",
    "new users and new seeds, the seeds' spread taken from the reference (the method has one seed)":
        "새 유저와 새 seed, seed 간 퍼짐은 비교 기준에서 가져옴 (method의 seed가 하나)",
    "new seeds, each with the training pairs it ends on; nothing about new users":
        "새 seed와 그 seed가 마지막에 학습하는 pair; 새 유저에 대해서는 알 수 없음",
    "new seeds on these same pairs and users": "같은 pair와 유저에서의 새 seed",
    "one seed, against the spread of the reference's seeds; nothing about new pairs or users":
        "seed 하나를 비교 기준의 seed 간 퍼짐에 견줌; 새 pair나 유저에 대해서는 알 수 없음",
    "one seed and no reference seeds: no spread is known": "seed 하나뿐이고 비교 기준 seed도 없음: 퍼짐을 "
                                                           "알 수 없음",
    "new users under these same seeds; every user counts once (mixed model)":
        "같은 seed들에서의 새 유저; 유저마다 한 번씩 셈 (혼합모형)",
    "new seeds and batches": "새 seed와 batch",
    "one seed: no interval": "seed 하나: 구간 없음",
    "one seed on both sides: no interval": "양쪽 모두 seed 하나: 구간 없음",
    "every seed has the same diff: no interval": "모든 seed의 diff가 같음: 구간 없음",
    "a group has one held-out user: no interval": "held-out 유저가 한 명인 그룹이 있음: 구간 없음",
    "no outcome varies: no interval": "결과가 모두 같음: 구간 없음",
    "too few seeds or users for a mixed model": "혼합모형에 쓸 seed나 유저가 너무 적음",
    "the mixed model did not converge": "혼합모형이 수렴하지 않음",
    "exploratory: not in the family of tests": "exploratory: 검정 집합에 넣지 않음",
    # figures
    "A minus B by split, with intervals and seeds": "Split별 A − B, 구간과 seed",
    "Change from the reference by split": "Split별 비교 기준 대비 변화",
    "Diffs by seed": "Seed별 diff",
    "A minus B by step": "Step별 A − B",
    "Smallest diff with 80 % power": "검정력 80 %의 최소 diff",
    "Labels of the published rule when nothing is there": "효과가 없을 때 발표된 규칙의 라벨",
    "Training tail (published)\nt over seeds": "학습 마지막 구간 (발표된 지표)\nseed에 대한 t",
    "Held-out users\nseeds and users": "Held-out 유저\nseed와 유저",
    "A minus B (pp)": "A − B (pp)",
    "practically null (±{margin:g} pp)": "사실상 0 (±{margin:g} pp)",
    "Change from {reference}; at the right the published label": "{reference} 대비 변화; 오른쪽은 발표된 "
                                                                 "라벨",
    "Training tail, A minus B (pp)": "학습 마지막 구간, A − B (pp)",
    "optimiser step": "optimizer step",
    "A minus B (pp of batch accuracy)": "A − B (batch accuracy, pp)",
    "held-out pairs of both groups": "두 그룹의 held-out pair 수",
    "One test at 5 %, variances as found in this study": "유의수준 5 %의 검정 하나, 분산은 이 실험의 추정값",
    "one test at 5 %": "유의수준 5 %의 검정 하나",
    "after Holm over the splits": "split 전체에 Holm 보정 후",
    "smallest diff (pp), 80 % power": "최소 diff (pp), 검정력 80 %",
    "Mean over seeds against zero, at the observed spread between seeds":
        "seed 평균을 0과 비교, 관측된 seed 간 퍼짐에서",
    "share of splits in which nothing is there": "효과가 없는 split 중 비율",
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

# Texts of tables that come with a number or a name in them.
WITH_NUMBERS = {
    "gap below {min_gap}": "점수 차이 {min_gap} 미만",
    "left out above {most} users in a group": "그룹의 유저가 {most}명을 넘어 생략",
    "no logged step between {start} and {end}": "step {start}~{end}에 기록이 없음",
    "noise of {pairs} pairs alone": "pair {pairs}개의 표집오차만",
    "mean of {seeds} seeds against zero": "seed {seeds}개 평균을 0과 비교",
    "one seed against {seeds} of the reference": "seed 하나를 비교 기준 {seeds}개와 비교",
    "cell {method}/{split}/{seed}": "셀 {method}/{split}/{seed}",
    "at cap ({arm})": "상한 비율 ({arm})",
    "at the most seeds, {most}": "seed 상한 {most}개에 도달",
    "its cell of seed {seed} failed": "seed {seed} 셀이 실패함",
}
