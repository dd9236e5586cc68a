"""The Korean of a report's headings and sentences."""

SENTENCES = {
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
    "#### Change from {reference} on the same pairs and seeds":
        "#### {reference} 대비 변화 (같은 pair, 같은 seed)",
    "#### Train group x test group": "#### 학습 그룹 × 평가 그룹",
    "### Verdicts, seed by seed": "### Seed를 하나씩 늘려 가며 내린 판정",
    "### The published metric: what its seeds can show": "### 발표된 지표: seed만으로 말할 수 있는 것",
    "#### Would one more {reference} seed look like the method?":
        "#### {reference} seed를 하나 더 돌려도 이런 값이 나올까?",
    "### Which cell decides": "### 어느 셀이 결론을 좌우하는가",
    "### Power: what this design could have detected": "### 검정력: 이 설계로 검출할 수 있었던 크기",
    "### What the published rule prints when there is no effect":
        "### 효과가 없을 때 발표된 규칙이 내는 라벨",
    # head
    "{study}: {done} of {all} cells published": "{study}: 셀 {all}개 중 {done}개가 발표된 값",
    "{study}: {done} of {all} cells finished": "{study}: 셀 {all}개 중 {done}개 완료",
    "# {text}, on generated data": "# {text} (생성 데이터)",
    "**Generated data**: the people, their ratings and the answers in this study were generated.":
        "**생성 데이터**: 이 실험의 유저, 평점, 응답은 모두 생성된 것이다.",
    "**Published numbers** appear in this report (cells marked `published`: {published}). They were not run "
    "here, and no validity gate checked them.":
        "**발표된 수치**가 포함되어 있다: `published`로 표시된 셀 {published}개는 여기서 실행하지 않았고 "
        "유효성 검사도 거치지 않았다.",
    "**Incomplete.** A split with a missing cell has no verdict, unless the cell's seed was added later. "
    "Missing or failed:":
        "**미완료.** 셀이 하나라도 빠진 split에는 판정이 없다(나중에 추가된 seed의 셀은 예외). 빠졌거나 "
        "실패한 셀:",
    "**Incomplete.** A split with a missing cell keeps a wider interval. Missing or failed:":
        "**미완료.** 셀이 빠진 split의 구간은 더 넓다. 빠졌거나 실패한 셀:",
    "**Verdicts withheld**: {cells} failed a validity gate: {names}.":
        "**판정 보류**: {cells}가 유효성 검사를 통과하지 못했다: {names}.",
    "**Evidence**: the published rule prints {printed}; these data support {supported} of them (last "
    "section).":
        "**근거**: 발표된 규칙이 낸 {printed} 중 이 데이터가 지지하는 것은 {supported}개다 (마지막 절).",
    "**A selection** of the study's {all} cells. Every estimate, label and interval is that of the whole "
    "study, and the tests count over all of its predicted splits, also over those that are not shown.":
        "전체 셀 {all}개 중 **일부만** 보인다. 모든 추정값, 라벨, 구간은 실험 전체의 것이며, 검정은 보이지 "
        "않는 것까지 포함해 예측된 split 전체에 대해 센다.",
    " (all pairs)": " (전체 pair)",
    " and ": ", ",
    # setup
    "{source}: {pairs} pairs of {users} users": "{source}: 유저 {users}명의 pair {pairs}개",
    "{share:.0%} of users": "유저의 {share:.0%}",
    "{share:.0%} of items": "항목의 {share:.0%}",
    "{share:.0%} of users, and of the items that several users rated":
        "유저의 {share:.0%}, 그리고 여러 유저가 평가한 항목의 {share:.0%}",
    "Several users rated the same held-out items (one prompt with its answers), and what an arm makes of an "
    "item is the same for each of them. So items are a source of chance beside users: the intervals also "
    "hold for new items (two-way clustering; Cameron, Gelbach & Miller 2011), with as many degrees of "
    "freedom as there are items to learn from. Where this would make an interval narrower, that of the "
    "users remains.":
        "여러 유저가 같은 held-out 항목(프롬프트 하나와 그 응답들)을 평가했고, arm이 한 항목을 어떻게 "
        "보는지는 그 유저들 모두에게 같다. 그래서 항목도 유저와 나란히 우연의 원천이다: 구간은 새 "
        "항목에 대해서도 성립하며(양방향 군집; Cameron, Gelbach & Miller 2011), 자유도는 항목 수에서 "
        "나온다. 이렇게 해서 구간이 더 좁아질 경우에는 유저의 구간을 그대로 쓴다.",
    "{count} pairs, of a held-out user or item alone, are in no fold":
        "held-out 유저나 항목 중 한쪽에만 속하는 pair {count}개는 학습에도 평가에도 쓰지 않음",
    "no held-out pair has the same token ids as a training pair":
        "학습 pair와 token id가 같은 held-out pair는 없음",
    "up to {count:.0f} held-out pairs of a cell have the same token ids as a training pair":
        "학습 pair와 token id가 같은 held-out pair는 셀당 최대 {count:.0f}개",
    "{name} (published: {file})": "{name} (발표된 값: {file})",
    "{steps} steps of {pairs} pairs": "{steps} steps, batch {pairs} pairs",
    "epochs: {epochs:g}, {pairs} pairs per step": "{epochs:g} epochs, batch {pairs} pairs",
    "learning rate {rate:g}, {dtype}": "LR {rate:g}, {dtype}",
    "without a reference": "Reference 없는 방법",
    "{methods}: as for the other methods, a pair counts as correct if its margin against the reference is "
    "positive":
        "{methods}: 다른 방법과 같이 reference 대비 margin이 양수이면 정답으로 셈",
    "by SimPO's own reward, the log-likelihood per token, an arm is correct on {least:.0%} to {most:.0%} of "
    "its held-out pairs":
        "SimPO 자체의 reward(token당 log-likelihood)로는 "
        "arm별 held-out pair의 {least:.0%}~{most:.0%}가 정답",
    "A minus B by step, held-out pairs": "Step별 A − B, held-out pair",
    "Held-out accuracy along the run, A minus B, each arm on its own group's held-out pairs. The bands hold "
    "new seeds, not other held-out users, and a step that is picked for its size is no evidence.":
        "학습 중 held-out accuracy, A − B (arm마다 자기 그룹의 held-out pair 기준). 띠는 새 seed만 "
        "반영하고 다른 held-out 유저는 반영하지 않으며, 차이가 커서 고른 step은 근거가 되지 않음.",
    "{tokens} tokens: {least:.0%} to {most:.0%} of an arm's training pairs had an answer truncated":
        "{tokens} tokens: arm별 학습 pair의 {least:.0%}~{most:.0%}에서 응답이 잘렸음",
    "accuracy of the implicit reward on the training tail, A minus B":
        "학습 마지막 구간의 implicit reward accuracy, A − B",
    ", restored to multiples of 1/128": " (1/128의 배수로 읽음)",
    "a table of {count} published diffs; nothing was trained or scored here":
        "발표된 diff {count}개의 표; 여기서 학습하거나 채점한 것은 없음",
    "selection": "선택",
    "trained again after they had finished": "완료 후 다시 학습한 셀",
    "study": "실험",
    "source": "출처",
    "model": "모델",
    "data": "데이터",
    "dropped": "제외",
    "kept, though unusual": "특이하지만 유지",
    "users whose trait is missing": "특성이 결측인 사용자",
    "length limit": "길이 제한",
    "other code (since commit {commit}; files: {files}): {cells}":
        "다른 코드 (커밋 {commit} 이후; 파일: {files}): {cells}",
    "{library} {before}, now {now}: {cells}": "{library} {before}, 현재 {now}: {cells}",
    "held out": "held-out",
    "splits": "split 수",
    "seeds": "seed",
    "methods": "method",
    "reference": "비교 기준",
    "training": "학습",
    "metric": "지표",
    "predicted splits without a diff": "예측은 있으나 diff가 없는 split",
    "{count} {why}": "{why} {count}",
    "empty answer": "빈 응답",
    "missing score": "점수 결측",
    "identical answers": "동일한 두 응답",
    "tie": "동점",
    "the same pair again": "중복 pair",
    "empty prompt": "빈 prompt",
    "answers that look the same": "겉보기가 같은 두 응답",
    "labelled both ways by one person": "한 사람이 양쪽으로 라벨한 pair",
    "no room for an answer": "응답이 들어갈 자리가 없음",
    "answer without tokens": "token이 없는 응답",
    "identical token ids": "token id가 같은 두 응답",
    "control tokens in a text": "본문 속 control token",
    "prompt without its start": "앞부분이 잘린 prompt",
    "oldest turns left out": "가장 오래된 turn을 뺀 prompt",
    "prompt rendered otherwise alone": "단독으로는 다르게 렌더링되는 prompt",
    "answer without an end token": "끝 token이 없는 응답",
    "no preference": "선호 없음",
    "answers to different prompts": "prompt가 서로 다른 응답",
    "answers of several turns": "여러 턴에 걸친 응답",
    "prompt that does not end with the user": "유저로 끝나지 않는 prompt",
    "higher score for the rejected answer": "거부된 응답의 점수가 더 높은 pair",
    "not in the data": "데이터에 없는 것",
    "{what}; what needs it is left out": "{what}; 이것이 필요한 것은 생략",
    "who chose, so each prompt counts as one user": "선택한 사람 (prompt 하나를 유저 한 명으로 센다)",
    "source model": "source model",
    # completeness, weights, baselines
    "Of the {cells} finished cells with arms A and B, {passed} passed all four validity gates: the loss at "
    "step 0 is log 2, both arms moved, both arms saw equally many pairs and nearly equally many tokens, and "
    "geometry, data and model are those of the reference.":
        "완료된 arm A와 B의 셀 {cells}개 중 {passed}개가 네 가지 유효성 검사를 모두 통과했다: step 0의 "
        "loss가 log 2, 두 arm 모두 움직임, 두 arm의 pair 수가 같고 token 수가 비슷함, 실행 환경과 데이터, "
        "모델이 비교 기준과 동일.",
    "Weights of the pairs that the arms trained on, over all steps: the mean over seeds, the smallest of "
    "all seeds, and the share at the cap of 1. `python -m orchestrator.weights` analyses what determines a "
    "weight.":
        "각 arm이 학습한 pair의 weight (전체 step): seed 평균, 전체 seed 중 최솟값, 상한 1에 걸린 비율. "
        "무엇이 weight를 결정하는지는 `python -m orchestrator.weights`가 분석한다.",
    "The arm of all pairs on each group's held-out pairs, beside the arm tuned on that group, over the seeds "
    "that both have. The interval captures the chance of users, and of items that several of them rated, for "
    "these seeds.":
        "전체 pair로 학습한 arm을 각 그룹의 held-out pair에서 그 그룹의 arm과 나란히 비교 (둘 다 있는 "
        "seed만). 구간은 이 seed들에서 유저의 우연과, 여러 유저가 "
        "평가한 항목의 우연을 반영한다.",
    # splits
    "A minus B on the training tail: the mean and the population standard deviation over seeds, the number "
    "of seeds that share the sign of the mean (`x/N`), and the label of the published rule. The rule "
    "ignores uncertainty; the last two columns take it into account.":
        "학습 마지막 구간에서 A − B의 seed 평균과 모표준편차, 평균과 부호가 같은 seed 수(`x/N`), 그리고 "
        "발표된 규칙의 라벨. 이 규칙은 불확실성을 고려하지 않으며, 마지막 두 열이 이를 고려한다.",
    "How many of the predicted splits have each change label, and which:":
        "변화 요약 (예측된 split 중 몇 개, 어느 것):",
    "No other method has a split to compare.": "비교할 다른 method의 split이 없다.",
    # cross-check
    "No method has a verdict on the same variable in both versions.":
        "두 버전에서 같은 변수에 판정이 있는 method가 없다.",
    "Same verdict: {agreed} of {all}; same direction: {same} of {all}.":
        "판정 일치: {all}개 중 {agreed}개, 방향 일치: {all}개 중 {same}개.",
    # curves
    "Training-batch accuracy, A minus B, averaged over the logged steps {start} to {end}:":
        "학습 batch accuracy의 A − B, step {start}~{end} 기록값의 평균:",
    "First logged step at which the accuracy is at least 60%:": "Accuracy가 처음 60 % 이상으로 기록된 step:",
    "never": "없음",
    # what the evidence supports
    "Based on the diffs by seed, because there are no held-out outcomes":
        "Seed별 diff 기준 (held-out 결과 없음)",
    "Based on held-out outcomes": "Held-out 결과 기준",
    "Based on held-out outcomes; published numbers have none, so they and the changes from them are judged "
    "by the diffs by seed":
        "Held-out 결과 기준 (발표된 수치에는 없으므로, 그 수치와 그에 대비한 변화는 seed별 diff 기준)",
    "{source}. A label is supported if its interval, adjusted for the number of splits, lies entirely on "
    "the side of zero that the label claims; a label that claims no difference is supported if the interval "
    "lies inside ±{margin:g} pp, and NOT NULL if it lies beyond ±{null:g} pp. FIXED, IMPROVED and REGRESSED "
    "are supported only if both verdicts are, too. A label that is not supported may still be true; these "
    "data do not show it.":
        "{source}. split 수에 대해 보정한 구간이 라벨이 말하는 쪽으로 0에서 벗어나 있으면, 차이가 없다는 "
        "라벨이면 구간이 ±{margin:g} pp 안에 들면 그 라벨은 지지된다. NOT NULL은 구간이 ±{null:g} pp 밖에 "
        "있어야 하고, FIXED, IMPROVED, REGRESSED는 두 판정도 모두 지지되어야 한다. 지지되지 않은 라벨도 "
        "참일 수 있으나, 이 데이터로는 보일 수 없다.",
    "No split has a label.": "라벨이 있는 split이 없다.",
    "- After Holm's adjustment, {differ} of {tested} {reference} means differ from zero; the smallest "
    "adjusted p is {p}.":
        "- Holm 보정 후 {reference}의 평균 {tested}개 중 0과 다른 것은 {differ}개이며, 가장 작은 보정 p는 "
        "{p}이다.",
    "- The {level:.0%} prediction interval for one more {reference} seed contains {method}'s mean in "
    "{inside} of {splits} splits. The published rule prints: {labels}.":
        "- {reference} seed 하나를 더 돌렸을 때의 {level:.0%} 예측구간이 split {splits}개 중 {inside}개에서 "
        "{method}의 평균을 포함한다. 발표된 규칙의 라벨: {labels}.",
    "The published metric (the training tail) in plain words:":
        "발표된 지표(학습 마지막 구간)를 그대로 말하면:",
    # evidence
    "Accuracy, A minus B, in pp. Each arm is scored on pairs of its own group, from users on whom no arm "
    "trained. The interval in the column `adjusted` and Holm's p decide: they hold for all predicted splits "
    "of the method together, also for those that failed. The {level} intervals add up the chance of new "
    "seeds and of new users (Banerjee 1960); the spread over seeds of each split is steadied by that of the "
    "method's other splits. The last column says which uncertainty they capture. `sign flip` needs no normal "
    "distribution, but with n seeds it cannot fall below 2 / 2^n. `e signs`: an e-value from the signs of "
    "the seeds, which holds for any distribution and any stopping; 20 or more is evidence at the 5% level. "
    "`null p`: two one-sided tests that the true value lies inside ±{margin:g} pp. `shrunken`: the effect "
    "when the splits' effects have a common distribution (a hierarchical model), which takes back what "
    "chance added to the largest ones. `effect / null`: the estimate over the spread of the null control's "
    "seeds.":
        "어느 arm도 학습하지 않은 유저의 pair에 대한 accuracy, 자기 그룹 기준, A − B, pp. 결정은 `보정` 열의 "
        "구간과 Holm p로 한다: 실패한 split까지 포함해 그 method의 예측된 split 전체에 대해 동시에 성립한다. "
        "{level} 구간은 새 seed와 새 유저의 우연을 더한 것이며(Banerjee 1960), 각 split의 seed 간 퍼짐은 "
        "같은 method의 다른 split들로 안정시킨다. 마지막 열은 구간이 반영하는 불확실성이다. `부호 뒤집기`는 "
        "정규분포를 가정하지 않지만 seed가 n개면 2 / 2^n 아래로 내려갈 수 없다. `부호 e`: seed 부호의 "
        "e-value로, 어떤 분포에서도 언제 멈춰도 성립하며 20 이상이면 5 % 수준의 증거이다. `null p`: 참값이 "
        "±{margin:g} pp 안에 있다는 두 단측검정(TOST). `축소`: split들의 효과가 공통 분포를 따른다고 "
        "볼 때의 효과(계층 모형)로, 우연히 커 보이는 몫을 되돌린다. `효과 / null`: null 대조군 seed의 "
        "퍼짐으로 나눈 값.",
    "Which of these decides: the adjusted interval. The other columns answer other questions, and where they "
    "disagree with it, it counts. New users are new held-out users: the users who train are the same in "
    "every seed, and only random halves show what others would have done. Splits share users, seeds and the "
    "reference, so they do not err independently; the level of the family holds all the same. Groups differ "
    "in size, and so in how often a pair is trained, unless the split has `match_pairs`.":
        "결정하는 것은 보정 구간이다. 다른 열은 다른 질문에 답하며, 서로 어긋나면 보정 구간이 우선한다. 새 "
        "유저란 새 held-out 유저를 말한다: 학습 유저는 모든 seed에서 같고, 다른 유저였다면 어땠을지는 무작위 "
        "절반만이 보여 준다. split들은 유저, seed, 비교 기준을 공유하므로 오류가 독립이 아니지만, 검정 집합 "
        "전체의 수준은 그대로 성립한다. `match_pairs`가 없으면 그룹의 크기가 다르고, 따라서 pair 하나가 "
        "학습되는 횟수도 다르다.",
    "Each method has one predicted split, so its test and its interval are not adjusted.":
        "method마다 예측된 split이 하나이므로 검정과 구간을 보정하지 않는다.",
    "The evidence counts over families: the {sizes} predicted splits of a method, failed ones included, hold "
    "at {level:.0%} together; diffs and changes are a family each.":
        "근거는 검정 집합 단위로 센다: 한 method의 예측된 split {sizes}개(실패한 것 포함)가 함께 {level:.0%} "
        "수준에서 성립하며, diff와 변화는 각각 하나의 집합이다.",
    "Seeds were added to the study. Their cells that have no numbers yet do not count, and their splits are "
    "judged by the seeds that they have: {cells}.":
        "실험에 seed가 추가되었다. 아직 수치가 없는 셀은 세지 않고, 그 split은 있는 seed로 판정: {cells}.",
    "Splits with missing cells keep their verdicts (`missing: bound`): {splits}. Their intervals are widened "
    "so that they hold whatever the missing cells would have shown (Manski 1990; Imbens & Manski 2004).":
        "빠진 셀이 있는 split도 판정을 유지한다(`missing: bound`): {splits}. 빠진 셀의 결과가 무엇이었든 "
        "성립하도록 구간을 넓혔다(Manski 1990; Imbens & Manski 2004).",
    "Diverged (a loss above {ratio:g} times that of step 0): {cells}. {rule}":
        "발산(loss가 step 0의 {ratio:g}배 초과): {cells}. {rule}",
    "The study counts diverged cells as they are.": "이 실험은 발산한 셀을 그대로 센다.",
    "The study counts diverged cells as missing.": "이 실험은 발산한 셀을 빠진 것으로 센다.",
    "### What chance alone does: random halves of the users":
        "### 우연만으로 일어나는 일: 유저의 무작위 절반",
    "Every method was also trained on random halves of the same users, training users included, and judged "
    "as if A > B had been predicted. Nothing is true there, so each claim is an error. `share`: the part of "
    "the halves with this label or claim, with its exact 95% interval. A claim of the held-out evidence "
    "should come up in hardly any half, and a 95% interval leave zero out in one of twenty; a label of the "
    "published rule is worth no more than its share here allows. `seeds`: those of each half. Where evidence "
    "chose the seeds of the splits, it did not for halves, which are judged once; labels depend on the "
    "number of seeds.":
        "모든 method를 같은 유저(학습 유저 포함)의 무작위 절반에도 학습하고, A > B를 예측한 것처럼 판정했다. "
        "여기에는 참인 것이 없으므로 모든 주장이 오류이다. `비율`: 이 라벨이나 주장이 나온 절반의 비율과 그 "
        "정확한 95 % 구간. held-out 근거의 주장은 거의 나오지 않아야 하고, 95 % 구간은 스무 번에 한 번쯤 0을 "
        "벗어나며, 발표 규칙의 라벨은 여기 비율이 허락하는 만큼만 믿을 수 있다. `seed`: 절반마다의 seed 수. "
        "근거가 split의 seed 수를 정한 실험에서도 절반의 seed 수는 정하지 않고 한 번만 판정하며, 라벨은 seed "
        "수에 따라 달라진다.",
    "How far from zero each held-out estimate is among those of the halves. `control p` assumes no "
    "distribution and holds everything that differs between groups by chance, but with n halves it cannot "
    "fall below 1 / (n + 1), and it is of one split, not of a family.":
        "held-out 추정값이 절반들의 추정값 가운데 0에서 얼마나 먼지. `대조 p`는 분포를 가정하지 않고 그룹 간 "
        "우연한 차이를 모두 담지만, 절반이 n개면 1 / (n + 1) 아래로 내려갈 수 없고, split 하나의 값이다.",
    "**The plan was changed after {finished} of {planned} cells**: {keys}. What this report says under the "
    "changed plan is exploratory.":
        "**셀 {planned}개 중 {finished}개가 끝난 뒤 계획이 바뀌었다**: {keys}. 바뀐 계획에 따른 내용은 "
        "탐색적이다.",
    "#### Own-group advantage: each arm beside the other one on the same pairs":
        "#### 자기 그룹 이점: 같은 pair에서 두 arm 비교",
    "A minus B also holds how hard the pairs of each group are. The own-group advantage does not: it is what "
    "an arm gains over the other arm on its own group's pairs, on average over both groups. Where groups are "
    "predicted to differ, on either side, it is predicted to be above zero. It is a family of its own.":
        "A − B에는 각 그룹의 pair가 얼마나 어려운지도 들어 있다. 자기 그룹 이점에는 들어 있지 않다: 자기 "
        "그룹 pair에서 arm이 다른 arm보다 더 얻는 몫을 두 그룹에 대해 평균한 값이다. 어느 쪽으로든 그룹이 "
        "다를 것으로 예측된 곳에서는 0보다 클 것으로 예측한다. 별도의 검정 집합이다.",
    "The own-group diff is the sum of two parts: how the arms differ on the same pairs, and how the groups' "
    "pairs differ under the same arms. The own-group advantage is what an arm gains on its own group beyond "
    "both parts.":
        "자기 그룹 diff는 두 부분의 합이다: 같은 pair에서의 arm 차이, 그리고 같은 arm에서의 그룹 간 pair "
        "차이. 자기 그룹 이점은 이 둘을 넘어 arm이 자기 그룹에서 얻는 몫이다.",
    "The interval that counts, and those of the kinds of chance that it holds":
        "결정에 쓰이는 구간과, 그 안에 담긴 우연의 종류별 구간",
    "t intervals over the seeds of the training-tail diffs. The spread over seeds of each split is steadied "
    "by that of the method's other splits. Holm's adjustment is over the predicted splits of a method. The "
    "tail holds pairs that were trained on, most of them before, so it says nothing about new people.":
        "학습 마지막 구간 diff의 seed에 대한 t 구간. 각 split의 seed 간 퍼짐은 같은 method의 다른 split들로 "
        "안정시킨다. Holm 보정은 한 method의 예측된 split 전체에 대해. 마지막 구간은 학습에 쓴 pair이고 "
        "대부분 전에도 학습했으므로 새로운 사람에 대해서는 아무것도 말하지 않는다.",
    "Where the {level} prediction interval for one more {reference} seed contains the method's mean, the "
    "method looks like another seed of the reference.":
        "{reference} seed 하나를 더 돌렸을 때의 {level} 예측구간이 method의 평균을 포함하면, 그 method는 "
        "비교 기준의 seed를 더 돌린 것과 구별되지 않는다.",
    "{split} {before} to {after}": "{split} {before} → {after}",
    "All labels and counts, computed again without one cell, one split or one seed. Losses that change "
    "nothing are not listed. With all cells: {counts}.":
        "셀, split 또는 seed를 하나씩 뺐을 때의 라벨과 개수; 아무것도 바뀌지 않는 경우는 생략. 전체 셀: "
        "{counts}.",
    "No single loss changes a label.": "하나를 빼도 라벨은 바뀌지 않는다.",
    # power, rule
    "The published metric: smallest diff detected with 80% power (one test at the 5% level):":
        "발표된 지표. 검정력 80 %로 검출되는 최소 diff (유의수준 5 %의 검정 하나):",
    "What it would take to detect a given diff: either seeds, with the present number of pairs, when their "
    "mean is compared with zero (`adjusted`: after Holm's adjustment over the splits); or pairs behind each "
    "accuracy, adjusted, too, for the mean of the reference's number of seeds and for one seed against those "
    "(one seed supports no verdict by itself, whatever its pairs). The observed spread between seeds is "
    "divided into the sampling of the tail's pairs, which more pairs reduce, and a remainder, which only "
    "more seeds reduce.":
        "주어진 diff를 검출하는 데 필요한 것. 현재 pair 수에서 평균을 0과 비교하는 데 필요한 seed 수 "
        "(`보정`: split 전체에 대한 Holm 보정 후); 또는 각 accuracy에 필요한 pair 수(역시 보정 후): 비교 "
        "기준과 같은 seed 수의 평균, 그리고 그에 대비한 seed 하나(seed 하나만으로는 pair가 몇 개든 판정을 "
        "뒷받침하지 못한다). 관측된 seed 간 퍼짐은 마지막 구간 pair의 표집오차(pair를 늘리면 줄어듦)와 "
        "나머지(seed를 늘려야 줄어듦)로 본다.",
    "Held-out users: smallest diff detected with 80% power, given the variances estimated here:":
        "Held-out 유저. 여기서 추정한 분산으로, 검정력 80 %로 검출되는 최소 diff:",
    "Seeds (with these held-out pairs) or held-out pairs (with these seeds) that would be needed:":
        "필요한 seed 수 (현재 held-out pair에서) 또는 held-out pair 수 (현재 seed에서):",
    "no number suffices": "늘려도 부족",
    "A simulation: both arms are equally accurate, {pairs} independent pairs stand behind each accuracy, "
    "and the seeds are as many as in this study.":
        "시뮬레이션: 두 arm의 accuracy가 같고, accuracy마다 독립인 pair {pairs}개, seed 수는 이 실험과 "
        "같음.",
    "Share of splits with each label": "라벨별 split 비율",
    "Losses that change a label: {count}": "라벨을 바꾸는 제외: {count}가지",
    "The numbers behind it": "그 수치",
    "{reference} has {missed} splits with a predicted direction at MISMATCH. A method without any effect "
    "would be FIXED in two or more of them with probability {shares}.":
        "{reference}에서 방향이 예측된 split 중 {missed}개가 MISMATCH이다. 아무 효과가 없는 method라도 그중 "
        "둘 이상이 FIXED로 나올 확률: {shares}.",
    # verdicts, seed by seed
    "Every split was judged after each of its seeds, from {start} to {most}, and received no more once it "
    "was settled: {cells} cells instead of {all}.":
        "split마다 seed {start}개부터 {most}개까지 하나 늘 때마다 판정했고, 결론이 난 split에는 seed를 더 "
        "쓰지 않았다: 셀 {all}개 대신 {cells}개.",
    " Verdicts that are still open: {still}.": " 아직 미결인 판정: {still}개.",
    "These verdicts are the evidence of this report: in its headline, its tables and its figures. The tests "
    "account for the repeated looks. Diffs and changes are a family each. Over all looks and predicted "
    "splits of a method, the probability of claiming a difference where there is none is at most {error:.0%} "
    "(Holm's adjustment of sequential p values), and so is the probability of calling a diff practically "
    "null (inside ±{margin:g} pp) when it is not. The repeated intervals capture new seeds and new users. "
    "With probability {level:.0%}, those of all looks and predicted splits contain their true values, so "
    "Holm's adjustment may settle a split whose interval still touches zero. The interval of an exploratory "
    "split holds for that split alone. A diff that settled early is, on average, slightly too large; its "
    "interval allows for that. These levels assume seeds that are about normal. `e signs` does not: whenever "
    "the study stops, it reaches 20 with a probability of at most 5% where a seed is as likely to lie above "
    "zero as below, even if a rare seed diverges.":
        "이 판정이 이 보고서의 머리말, 표, 그림에 쓰인 증거이다. diff와 변화는 각각 하나의 검정 집합이다. "
        "이렇게 여러 번 판정하는 것을 보정했다. 한 method의 모든 판정 시점과 예측된 split을 통틀어, 없는 "
        "차이를 있다고 할 확률은 최대 {error:.0%}(순차 p 값에 Holm), 사실상 0(±{margin:g} pp 안)이 아닌 "
        "diff를 그렇다고 할 확률도 최대 {error:.0%}이다. 반복 구간은 새 seed와 새 유저를 반영하며, 모든 "
        "시점과 예측된 split의 구간이 함께 참값을 포함할 확률이 {level:.0%}이다. 그래서 구간이 아직 0에 "
        "걸친 split도 Holm으로 결론이 날 수 있다. exploratory split의 구간은 그 split 하나에만 해당한다. "
        "일찍 결론이 난 diff는 평균적으로 조금 크게 출력되며, 구간은 이를 감안한다. 이 수준들은 seed가 대략 "
        "정규분포라고 가정한다. `부호 e`는 그렇지 않다: seed가 0보다 클 확률과 작을 확률이 같다면, 드물게 "
        "발산하는 seed가 있어도, 언제 멈추든 20에 이를 확률이 최대 5 %이다.",
    "`seeds to decide` (with these pairs) and `pairs to decide` (held-out, with these seeds): how many "
    "would settle the split with 80% power if the printed diff were the true one. `cheaper`: which of the "
    "two has to grow by the smaller factor. `chance`: the probability that seeds up to {most} settle the "
    "split. A split stops when no number of further seeds would settle it with a probability of at least "
    "{worth:g} per further seed.":
        "출력된 diff가 참이라면 `필요한 seed`(현재 pair에서) 또는 `필요한 pair`(held-out, 현재 seed에서)가 "
        "각각 검정력 80 %로 결론을 낸다. `더 싼 쪽`은 늘려야 하는 배수가 작은 쪽이다. `가능성`: seed를 "
        "{most}개까지 늘려 결론이 날 확률. seed를 몇 개 더 늘려도 결론이 날 확률이 더한 seed 하나당 "
        "{worth:g}에 못 미치면 그 split은 멈춘다.",
}  # fmt: skip
