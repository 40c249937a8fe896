"""Takes its time and says how far it is: something to watch with `airlock logs -f`, or to stop."""

import time


def evaluate_model(model, rounds=6):
    for done in range(1, rounds + 1):
        time.sleep(1)
        model.generate(f"round {done}")
        print(f"round {done} of {rounds}", flush=True)
    return {"rounds": rounds}
