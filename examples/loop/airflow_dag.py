"""The second loop as an Airflow 2 or 3 DAG: one run for each day, in order, tried again while rewards may still come.

In: the variables JUMAR_REGISTRY, JUMAR_LOG and JUMAR_CONFIG. Put this file into Airflow's folder of DAGs, and Jumar
into the environment of its workers.
"""

# Airflow is not needed by Jumar itself.
# pyright: reportMissingImports=false

from __future__ import annotations

import datetime
import os
import subprocess

from airflow.decorators import dag, task
from airflow.exceptions import AirflowException, AirflowFailException

COMPLETE, LOOK, NOT_YET = 0, 3, 75


@dag(
    schedule="0 1 * * *",
    start_date=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
    catchup=True,  # every day is run, and one after the other
    max_active_runs=1,
    default_args={"depends_on_past": True},
)
def jumar_loop() -> None:
    """One day of decisions."""

    @task(retries=60, retry_delay=datetime.timedelta(minutes=30))
    def day(ds: str | None = None) -> None:
        """``ds`` is the first day of the run's interval: the day that has ended. 60 retries outlast a wait of a day."""
        words = ["jumar", "loop", os.environ["JUMAR_REGISTRY"], "--log", os.environ["JUMAR_LOG"], "--date", str(ds)]
        words += ["--config", os.environ["JUMAR_CONFIG"]]
        done = subprocess.run(words, check=False, text=True, capture_output=True)
        print(done.stdout, done.stderr)
        if done.returncode == NOT_YET:
            raise AirflowException("Not yet: it is tried again.")
        if done.returncode == LOOK:
            print("A person should look.")  # send it where people look
        elif done.returncode != COMPLETE:
            raise AirflowFailException(done.stderr)  # trying again would not help

    day()


jumar_loop()
