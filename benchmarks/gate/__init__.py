"""The benchmark that proves the gate: one module for each table, run by ``gate_bench.py``."""
