"""Continues a text with the network beside this file: its runtime and NumPy are enough.

python predict.py --prompt "To be" --length 200
"""

import argparse

import numpy as np
from runtime import beside
from vocabularies import FIRST, UNKNOWN, vocabulary_from_json


def main():
    """Prints the prompt and what follows it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--prompt", default="", help="how the text begins")
    parser.add_argument("--length", type=int, default=200, help="tokens to write")
    parser.add_argument("--temperature", type=float, default=0.0, help="the higher, the wilder; 0 takes the likeliest")
    parser.add_argument("--seed", type=int, default=0, help="seed of what is drawn")
    options = parser.parse_args()
    step, codec = beside(__file__, "step")
    vocabulary = vocabulary_from_json(codec["vocabulary"])
    ids = [int(one) for one in vocabulary.encode(options.prompt) if one != UNKNOWN]
    begun = vocabulary.decode(ids)
    ids = ids or [int(one) if one != UNKNOWN else FIRST for one in vocabulary.encode("\n")]
    made = write(step, ids, options, context=codec["context"], banned=list(vocabulary.banned))
    print(begun + vocabulary.decode([*ids, *made])[len(vocabulary.decode(ids)) :])


def write(step, ids, options, *, context, banned):
    """Returns the tokens that follow; caches are bounded: when they are full, their later half is read anew."""
    rng, made, state, held = np.random.default_rng(options.seed), [], None, 0
    grows = any(len(shape) == 3 for shape in step.inputs.values())
    while len(made) < options.length:
        text = [*ids, *made]
        if state is None or (grows and held == context):
            if grows and len(text) > context:
                text = text[-max(1, context // 2) :]
            state, held = {}, 0
            for name, shape in step.inputs.items():
                if name != "token":
                    state[name] = np.zeros((1, 0, shape[-1]) if len(shape) == 3 else (1, shape[-1]), np.float32)
            for token in text[:-1]:
                _, state = after(step, token, state)
                held += 1
        chances, state = after(step, text[-1], state)
        held += 1
        chances[banned] = -np.inf
        if options.temperature > 0:
            chances = chances / options.temperature + rng.gumbel(size=len(chances))
        made.append(int(chances.argmax()))
    return made


def after(step, token, state):
    """Returns the log-probabilities of the token after this one, and the state after it."""
    outputs = step(state | {"token": np.array([[token]], np.int32)})
    return outputs["log_probs"][0].copy(), {name: outputs[name] for name in state}


if __name__ == "__main__":
    main()
