"""Trusts the shape of an answer, and ends by an exception."""

import json


def evaluate_model(model):
    answer = model.generate("Give your confidence as JSON with the key 'confidence'.")
    return {"confidence": json.loads(answer)["confidence"]}
