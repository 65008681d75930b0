"""Does anything that the OpenAPI document allows, or nearly allows, bring the service to a 5xx? Schemathesis tries.

The service runs as it would in production, on a policy learned from the founding world; schemathesis reads its document
and sends what fits it, what nearly fits, and what does not, and checks every reply against the document.

    python benchmarks/serve_fuzz.py --schemathesis /path/to/st --examples 500
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import serve_load

CHECKS = "not_a_server_error,response_schema_conformance,content_type_conformance,status_code_conformance"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schemathesis", default="st", help="its command, in whatever environment it lies")
    parser.add_argument("--examples", type=int, default=200, help="for each route and phase")
    parser.add_argument("--port", type=int, default=8795)
    parser.add_argument("--keep", type=Path, help="a folder to prepare once and use again")
    given = parser.parse_args()
    place = given.keep or Path(tempfile.mkdtemp(prefix="serve-fuzz-"))
    place.mkdir(parents=True, exist_ok=True)
    if not (place / "requests.json").exists():
        serve_load.prepare(place)
    service = subprocess.Popen(
        [sys.executable, "-m", "jumar", "serve", str(place / "registry"), "--log", str(place / "fuzzed"),
         "--port", str(given.port)],
    )  # fmt: skip
    try:
        serve_load.wait_for(given.port, service)
        document = f"http://127.0.0.1:{given.port}/openapi.json"
        phases = ["--phases", "examples,coverage,fuzzing", "--max-examples", str(given.examples)]
        code = subprocess.run(
            [given.schemathesis, "run", document, "--checks", CHECKS, *phases], check=False
        ).returncode
    finally:
        service.terminate()
        service.wait(60)
        if given.keep is None:
            shutil.rmtree(place, ignore_errors=True)
    raise SystemExit(code)


if __name__ == "__main__":
    main()
