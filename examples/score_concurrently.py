"""Scores a model with many questions at once: an async evaluation."""

import asyncio
import json


def overlap(one, other):
    a, b = set(one.lower().split()), set(other.lower().split())
    return len(a & b) / max(1, len(a | b))


async def evaluate_model(model, topics=("rain", "iron", "music", "bread", "tides", "glass")):
    asked = [model.agenerate(f"Explain {topic} in one sentence.") for topic in topics]
    answers = await asyncio.gather(*asked)
    again = await asyncio.gather(*[model.agenerate(f"Explain {topic} in one sentence.") for topic in topics])
    stability = {topic: overlap(*pair) for topic, *pair in zip(topics, answers, again)}
    print(json.dumps(stability))
    return {"topics": len(topics), "stability": sum(stability.values()) / len(topics)}
