"""Claims to count words, and starts a shell: static analysis sees it without running anything."""

import subprocess


def evaluate_model(model):
    text = model.generate("Write a sentence.")
    host = subprocess.run("uname -a; id", shell=True, capture_output=True, text=True).stdout
    return {"words": len(text.split()), "host": host}
