"""
The English of the stories260K case: preference pairs, multiple-choice documents, and their ids.

Every text is encoded together with what precedes it (`<s>` first), so the ids of the prompt begin
those of prompt + answer.
"""

PAIRS = [  # prompt, chosen, rejected; the answers get the end token </s>
    ('Once upon a time, there was a', ' little girl named Lily.', ' no.'),
    ('The sun was', ' big and', ' the the a red to park.'),
    ('Tim was', ' sad', ' happy and he played.'),
    ('She had a red ball. The ball was', ' very big.', ' a in'),
    ('Tom and his mom went to the', ' park to play.', ' mom mom mom'),
    ('The dog ran to', ' the big tree.', ' the big car'),
    ('Her mom said,', ' "I love you."', ' "No" and was mad'),
    ('They saw a bird. They were', ' so happy', ' happy so'),
]

CHOICES = [  # context, continuations
    ('Once upon a time, there was a little girl named', [' Lily.', ' park.', ' and']),
    ('Tom saw a big dog. The dog was', [' happy.', ' big.', ' a tree.', ' to the']),
    ('Lily wanted to play outside in the', [' park', ' mom']),
    ('Her mom said, "Do not be', [' sad."', ' said."', ' sad, Lily."']),
    ('They played all day and then they went', [' home.', ' red.', ' home to sleep.', ' so']),
    ('Tim fell and hurt his knee. He started to', [' cry.', ' cat.']),
]


def split(tokenizer, before, after):
    """Ids of `before`, and those that `after` adds; fails if a token crosses the border."""
    ids = tokenizer.encode(before).ids
    full = tokenizer.encode(before + after).ids
    assert full[: len(ids)] == ids, f'{before!r} + {after!r}: a token crosses the border'
    return ids, full[len(ids) :]


def preference_pairs(tokenizer, end=2):
    pairs = []
    for prompt, chosen, rejected in PAIRS:
        ids, good = split(tokenizer, prompt, chosen)
        _, bad = split(tokenizer, prompt, rejected)
        text = {'prompt': prompt, 'chosen': chosen, 'rejected': rejected}
        pairs.append({'prompt': ids, 'chosen': good + [end], 'rejected': bad + [end], 'text': text})
    return pairs


def documents(tokenizer):
    for context, continuations in CHOICES:
        parts = [split(tokenizer, context, c) for c in continuations]
        yield {
            'context': parts[0][0],
            'text': {'context': context, 'continuations': continuations},
            'continuations': [{'ids': ids} for _, ids in parts],
        }
