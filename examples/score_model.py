"""Scores a model: the share of sums that it gets right."""

import random


def evaluate_model(model, questions=12):
    right = 0
    for number in range(questions):
        a, b = random.randint(2, 99), random.randint(2, 99)
        answer = model.generate(f"What is {a} + {b}? Answer with the number.", temperature=0)
        correct = answer.strip() == str(a + b)
        print(f"{number + 1}: {a} + {b} = {answer.strip()} ({'right' if correct else 'wrong'})")
        right += correct
    return {"questions": questions, "right": right, "accuracy": round(right / questions, 3)}
