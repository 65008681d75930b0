"""The second loop as a Dagster asset: one partition for each day, tried again while rewards may still come.

In: the variables JUMAR_REGISTRY, JUMAR_LOG and JUMAR_CONFIG. Load it with: dagster dev -f dagster_job.py
"""

# Dagster is not needed by Jumar itself.
# pyright: reportMissingImports=false

import json
import os
import subprocess

import dagster

COMPLETE, LOOK, NOT_YET = 0, 3, 75
DAYS = dagster.DailyPartitionsDefinition(start_date="2026-01-01", timezone="UTC")


@dagster.asset(partitions_def=DAYS, backfill_policy=None)
def loop_day(context: dagster.AssetExecutionContext) -> dagster.MaterializeResult:
    """What happened on one day of decisions."""
    words = ["jumar", "loop", os.environ["JUMAR_REGISTRY"], "--log", os.environ["JUMAR_LOG"], "--json"]
    words += ["--date", context.partition_key, "--config", os.environ["JUMAR_CONFIG"]]
    done = subprocess.run(words, check=False, text=True, capture_output=True)
    if done.returncode == NOT_YET:
        raise dagster.RetryRequested(max_retries=60, seconds_to_wait=1_800)
    if done.returncode not in (COMPLETE, LOOK):
        raise dagster.Failure(done.stderr, allow_retries=False)
    if done.returncode == LOOK:
        context.log.warning("A person should look.")
    day = json.loads(done.stdout)[-1]
    said = {step["name"]: " ".join(step["said"]) for step in day["steps"]}
    return dagster.MaterializeResult(metadata={"production": day["production"], **said})


JOB = dagster.define_asset_job("jumar_loop", selection=[loop_day], partitions_def=DAYS)
defs = dagster.Definitions(
    assets=[loop_day],
    jobs=[JOB],
    schedules=[dagster.build_schedule_from_partitioned_job(JOB, hour_of_day=1)],
)
