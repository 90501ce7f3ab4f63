"""Which evaluation transformers keeps as the best, and where EarlyStoppingCallback ends: earlyStopping.json.

    python test/golden/earlyStopping.py
"""

import json
import random
from pathlib import Path
from types import SimpleNamespace

from transformers import EarlyStoppingCallback, Trainer, TrainerControl, TrainerState, TrainingArguments


def follow(values, goal, patience, min_delta):
    """The steps are 10, 20, ...; the evaluation comes before the best is determined, as in Trainer._maybe_log_save_evaluate."""
    args = TrainingArguments(
        output_dir="/tmp/none",
        metric_for_best_model="eval_x",
        greater_is_better=goal == "MAX",
        load_best_model_at_end=True,
        eval_strategy="steps",
        save_strategy="steps",
        report_to=[],
        use_cpu=True,
    )
    callback = EarlyStoppingCallback(patience, min_delta)
    state, control = TrainerState(), TrainerControl()
    trainer = SimpleNamespace(args=args, state=state)
    rows = []
    for i, value in enumerate(values):
        state.global_step = 10 * (i + 1)
        metrics = {"eval_x": value}
        callback.on_evaluate(args, state, control, metrics)
        if Trainer._determine_best_metric(trainer, metrics, trial=None):
            best_step = state.global_step
        rows.append({"value": value, "best": state.best_metric, "step": best_step, "stop": control.should_training_stop})
        if control.should_training_stop:
            break
    return rows


rng = random.Random(0)
cases = []
for goal in ["MIN", "MAX"]:
    for patience, min_delta in [(1, 0.0), (2, 0.0), (3, 0.0), (2, 0.05), (3, 0.1), (12, 0.0)]:
        for _ in range(2):
            # Rounded, so that equal values occur.
            values = [round(rng.uniform(0.3, 1.0), 2) for _ in range(12)]
            rows = follow(values, goal, patience, min_delta)
            cases.append({"goal": goal, "patience": patience, "minDelta": min_delta, "rows": rows})
    values = [1.0, 0.9, 0.89, 0.89, 0.7, 0.7, 0.7, 0.7]
    for patience, min_delta in [(3, 0.05), (2, 0.0)]:
        rows = follow(values, goal, patience, min_delta)
        cases.append({"goal": goal, "patience": patience, "minDelta": min_delta, "rows": rows})

out = Path(__file__).parent / "earlyStopping.json"
out.write_text(json.dumps(cases, indent=None, separators=(",", ":")) + "\n")
