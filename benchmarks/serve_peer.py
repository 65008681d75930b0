"""The peer of serve_load.py: FastAPI + scikit-learn as they are usually put together, without a log of decisions.

Run by `serve_load.py --peer-python`, in a Python that has fastapi, uvicorn, scikit-learn and pandas; it needs nothing
of Jumar. It learns which action was taken from the same log, with a network of the size of the policy's, and decides by
it.
"""

# What the peer needs is not among what Jumar needs.
# pyright: reportMissingImports=false

from __future__ import annotations

import random
import sys
from typing import Any

DROPPED = ["decision_id", "unit", "time", "propensity", "reward", "action", "topics", "last_visit_at"]


def main() -> None:
    import pandas as pd
    import uvicorn
    from fastapi import FastAPI
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    log = pd.read_parquet(sys.argv[1])
    contexts = log.drop(columns=DROPPED)
    texts = [name for name in contexts if not pd.api.types.is_numeric_dtype(contexts[name])]
    numbers = [name for name in contexts if name not in texts]
    types: Any = {name: "object" if name in texts else "float64" for name in contexts}
    contexts = contexts.astype(types)
    scaled = make_pipeline(SimpleImputer(), StandardScaler())
    columns = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), texts), (scaled, numbers))
    model = make_pipeline(columns, MLPClassifier((64, 64), max_iter=5)).fit(contexts, log["action"])
    actions, names = [*model.classes_], [*contexts]
    app = FastAPI()

    @app.post("/decide")
    def decide(asked: dict[str, Any]) -> dict[str, Any]:
        row = pd.DataFrame([[asked["context"][name] for name in names]], columns=names).astype(types)
        pmf = model.predict_proba(row)[0].tolist()
        place = random.choices(range(len(actions)), pmf)[0]
        return {"action": actions[place], "propensity": pmf[place], "pmf": pmf}

    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="error")


if __name__ == "__main__":
    main()
