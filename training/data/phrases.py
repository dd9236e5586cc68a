"""List the sentences that the twin's people ask and its models answer, by family of models and by kind."""

TOPICS = (
    "garden", "budget", "bike", "resume", "soup", "novel", "laptop", "holiday", "lease",
    "piano", "debate", "puppy",
)  # fmt: skip

PROMPTS = (
    "how do i start with my {topic} ?",
    "what should i know about a {topic} ?",
    "can you help me with a {topic} today ?",
    "why is my {topic} so hard to get right ?",
    "tell me something useful about the {topic} .",
    "is it a good idea to change my {topic} now ?",
)

# The shared taste: how much a sentence of each kind adds to the quality of an answer.
KINDS = {"detail": 1.0, "example": 0.7, "polite": 0.2, "vague": -0.4, "hedge": -0.8, "refusal": -1.5}

# Three families of models say the same things in their own words.
PHRASES: dict[str, dict[str, tuple[str, ...]]] = {
    "plain": {
        "detail": (
            "first write a list of what your {topic} needs , then do one thing a day .",
            "check the {topic} twice a week and note what changes .",
            "set a small goal for the {topic} and measure it on friday .",
        ),
        "example": (
            "for example , my neighbour fixed her {topic} in two weeks .",
            "for example , most people begin the {topic} with one cheap tool .",
        ),
        "polite": ("i am happy to help you with that .", "good luck , and ask me again any time ."),
        "vague": ("a {topic} is a nice thing to think about .", "there are many ways to see a {topic} ."),
        "hedge": ("it depends on a lot of things .", "i could be wrong about the {topic} , so be careful ."),
        "refusal": ("sorry , i can not answer that .", "i would rather not talk about the {topic} ."),
    },
    "formal": {
        "detail": (
            "begin by assessing the {topic} , next allocate one hour daily to it .",
            "document every modification of the {topic} in a simple table .",
            "define a concrete target for the {topic} and review it weekly .",
        ),
        "example": (
            "consider a beginner who completed a {topic} within one month .",
            "as an illustration , experts prepare the {topic} the evening before .",
        ),
        "polite": ("thank you for this question .", "please let me know if further details are required ."),
        "vague": ("the {topic} is an interesting subject .", "numerous perspectives on the {topic} exist ."),
        "hedge": (
            "the answer varies considerably between cases .",
            "my knowledge of the {topic} may be limited .",
        ),
        "refusal": (
            "unfortunately i am unable to assist .",
            "as a language model i must decline this request .",
        ),
    },
    "chatty": {
        "detail": (
            "ok so grab a pen , break your {topic} into steps and just do step one !",
            "try ten minutes of {topic} each morning , it really adds up !",
            "pick one part of the {topic} , finish it , then pick the next !",
        ),
        "example": (
            "like my friend , she sorted her {topic} over a weekend !",
            "like , you could borrow a {topic} kit and see how it goes !",
        ),
        "polite": ("oh i love this question !", "you got this , have fun !"),
        "vague": ("wow , a {topic} , so cool !", "so much to say about any {topic} !"),
        "hedge": ("hmm , hard to say really !", "not totally sure about the {topic} , sorry !"),
        "refusal": ("oops , i can not do that one !", "nope , let us skip the {topic} !"),
    },
}
