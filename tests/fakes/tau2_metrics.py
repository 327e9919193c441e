"""Print the metrics that τ² itself computes, as JSON.

usage: python -I -S tau2_metrics.py FOLDER RESULTS.jsonl

FOLDER contains tau2. "pass_k" is what it computes from the trials in a file of results, "counts"
for numbers of trials, of passed ones, and k.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

MAX_TRIALS = 8


def main() -> None:
    """Print the metrics."""
    sys.path.insert(0, sys.argv[1])
    run = importlib.import_module("tau2.run")
    metrics = importlib.import_module("tau2.metrics.agent_metrics")
    simulation = importlib.import_module("tau2.data_model.simulation")
    lines = Path(sys.argv[2]).read_text(encoding="utf-8").splitlines()
    records = [json.loads(line)["simulation"] for line in lines]
    names = {record["task_id"] for record in records}
    trials = len({record["trial"] for record in records})
    results = simulation.Results(
        info=run.get_info("mock", "llm_agent_solo", "dummy_user", num_trials=trials),
        tasks=[task for task in run.get_tasks("mock") if task.id in names],
        simulations=[simulation.SimulationRun.model_validate(record) for record in records],
    )
    counts = [
        [n, passed, k, metrics.pass_hat_k(n, passed, k)]
        for n in range(1, MAX_TRIALS + 1)
        for passed in range(n + 1)
        for k in range(1, n + 1)
    ]
    found = metrics.compute_metrics(results).pass_hat_ks
    print(json.dumps({"pass_k": [found[k] for k in sorted(found)], "counts": counts}))


if __name__ == "__main__":
    main()
