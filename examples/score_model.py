"""Scores a model: the share of questions whose answer it gives."""

QUESTIONS = [
    ("What is the capital of France? Answer with one word.", "paris"),
    ("What is 6 times 7? Answer with the number.", "42"),
    ("Which planet is known as the red planet? Answer with one word.", "mars"),
    ("What is the chemical symbol of gold? Answer with the symbol.", "au"),
]


def evaluate_model(model, limit=len(QUESTIONS)):
    right = 0
    for question, expected in QUESTIONS[:limit]:
        answer = model.generate(question, temperature=0)
        correct = expected in answer.lower()
        print(f"{'right' if correct else 'wrong'}: {question}")
        right += correct
    return {"questions": limit, "right": right, "accuracy": right / limit}
