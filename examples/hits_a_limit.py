"""Keeps everything it reads: more memory than it was given."""


def evaluate_model(model):
    kept = []
    while True:
        kept.append(bytearray(16 * 1024 * 1024))
        model.generate(f"chunk {len(kept)}")
