"""How many evaluations does NEAT take on the standards, and where does painting weights beat listing them?

XOR and two poles on a cart over some seeds, beside neat-python, if that is installed, whose genomes run in the very
same programs; then the larger of two boxes: HyperNEAT beside the same NEAT with every link in the genome.

    python benchmarks/neat_standards.py                 # 20 seeds
    python benchmarks/neat_standards.py --seeds 3 --tasks xor
"""

from __future__ import annotations

import argparse
import importlib
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jumar.play.evolve.genome import ACTIVATIONS, Genome, Shape
from jumar.play.evolve.neat import Neat, Settings
from jumar.play.evolve.networks import Stack, stacked, steps_for
from jumar.play.evolve.variation import Rates
from neat_tasks import Found, boxes, field, missed, poles, xor
from table import Row, print_head, print_table

POPULATION, GENERATIONS, BOX_GENERATIONS = 150, 300, 100
NODES = 16  # room in every stack, so that little compiles anew
PEER = """[NEAT]
fitness_criterion = max
fitness_threshold = 1e12
no_fitness_termination = True
pop_size = {population}
reset_on_extinction = True
[DefaultGenome]
num_inputs = {inputs}
num_outputs = 1
num_hidden = 0
feed_forward = True
initial_connection = full_direct
activation_default = sigmoid
activation_options = sigmoid
activation_mutate_rate = 0.0
aggregation_default = sum
aggregation_options = sum
aggregation_mutate_rate = 0.0
bias_init_type = gaussian
bias_init_mean = 0.0
bias_init_stdev = 1.0
bias_max_value = 30.0
bias_min_value = -30.0
bias_mutate_power = 0.5
bias_mutate_rate = 0.7
bias_replace_rate = 0.1
response_init_type = gaussian
response_init_mean = 1.0
response_init_stdev = 0.0
response_max_value = 30.0
response_min_value = -30.0
response_mutate_power = 0.0
response_mutate_rate = 0.0
response_replace_rate = 0.0
weight_init_type = gaussian
weight_init_mean = 0.0
weight_init_stdev = 1.0
weight_max_value = 30
weight_min_value = -30
weight_mutate_power = 0.5
weight_mutate_rate = 0.8
weight_replace_rate = 0.1
conn_add_prob = 0.5
conn_delete_prob = 0.5
node_add_prob = 0.2
node_delete_prob = 0.2
enabled_default = True
enabled_mutate_rate = 0.01
enabled_rate_to_true_add = 0.0
enabled_rate_to_false_add = 0.0
compatibility_disjoint_coefficient = 1.0
compatibility_weight_coefficient = 0.5
compatibility_excess_coefficient = 1.0
compatibility_include_node_genes = True
compatibility_enable_exclusive = False
single_structural_mutation = False
structural_mutation_surer = default
[DefaultSpeciesSet]
compatibility_threshold = 3.0
[DefaultStagnation]
species_fitness_func = max
max_stagnation = 20
species_elitism = 2
[DefaultReproduction]
elitism = 2
survival_threshold = 0.2
min_species_size = 2
"""  # as its own example for XOR has it
Task = Callable[[Stack, Shape, int], Found]


def ours(task: Task, inputs: int, seed: int, rates: Rates) -> int | None:
    """Evaluations until a network solves the task."""
    shape = Shape(inputs, 1)
    evolution = Neat(shape, Settings(population=POPULATION, rates=rates), seed)
    for generation in range(GENERATIONS):
        genomes = evolution.ask()
        found = task(stacked(genomes, NODES), shape, steps_for(genomes))
        if found.solved.any():
            return generation * POPULATION + int(found.solved.argmax()) + 1
        evolution.tell(found.fitness)
    return None


class _SolvedError(Exception):
    """Ends the peer's run."""


def theirs(task: Task, inputs: int, seed: int) -> int | None:
    """The same of neat-python, with the settings of its own example."""
    neat: Any = importlib.import_module("neat")  # of the extra bench

    random.seed(seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config"
        path.write_text(PEER.format(population=POPULATION, inputs=inputs))
        config = neat.Config(neat.DefaultGenome, neat.DefaultReproduction, neat.DefaultSpeciesSet,
                             neat.DefaultStagnation, str(path))  # fmt: skip
    spent = 0

    def judge(genomes: Sequence[tuple[int, Any]], _: Any) -> None:
        nonlocal spent
        same = [as_ours(one, inputs) for _, one in genomes]
        found = task(stacked(same, NODES), Shape(inputs, 1), steps_for(same))
        if found.solved.any():
            spent += int(found.solved.argmax()) + 1
            raise _SolvedError
        spent += len(same)
        for (_, one), fitness in zip(genomes, found.fitness, strict=True):
            one.fitness = float(fitness)

    population = neat.Population(config)
    try:
        population.run(judge, GENERATIONS)
    except _SolvedError:
        return spent
    return None


def as_ours(genome: Any, inputs: int) -> Genome:
    """neat-python's genome as one of ours: its inputs are −1, −2, …, its output is 0."""
    links = [(pair, link) for pair, link in genome.connections.items()]

    def key(node: int) -> int:
        return -node - 1 if node < 0 else inputs + node

    nodes = sorted([*range(inputs), *(key(node) for node in genome.nodes)])
    bias = {key(node): gene.bias for node, gene in genome.nodes.items()}
    return Genome(
        nodes=np.array(nodes),
        bias=np.array([bias.get(node, 0.0) for node in nodes]),
        activation=np.full(len(nodes), ACTIVATIONS.index("sigmoid")),
        number=np.arange(len(links)),
        source=np.array([key(pair[0]) for pair, _ in links], np.int64),
        target=np.array([key(pair[1]) for pair, _ in links], np.int64),
        weight=np.array([link.weight for _, link in links], np.float64),
        enabled=np.array([link.enabled for _, link in links], bool),
    )


def find_boxes(painted: bool, seed: int, generations: int) -> tuple[float, float]:
    """How far off the best is after so many generations, on its pictures and on others."""
    substrate = field() if painted else None
    if substrate is None:
        shape, rates = Shape(121, 121, "linear", most_nodes=256), Rates(weight=0.2, power=0.5, spread=1.0)
    else:
        shape = substrate.painter()
        rates = Rates(add_node=0.05, add_link=0.1, activation=0.05, power=0.5)
    evolution = Neat(shape, Settings(population=100, rates=rates), seed)
    task, other = boxes(seed), boxes(seed + 1_000)
    for _ in range(generations):
        genomes = evolution.ask()
        evolution.tell(-missed(stacked(genomes, shape.fixed + 8), shape, steps_for(genomes), substrate, task))
    best = evolution.state.best
    assert best is not None
    stack = stacked([best] * 16, shape.fixed + 8)
    off = missed(stack, shape, steps_for([best]), substrate, other)
    return -evolution.state.best_fitness, float(off[0])


def told(found: list[int | None]) -> str:
    """Mean of those that solved it, and how many did."""
    solved = [one for one in found if one is not None]
    if not solved:
        return f"none of {len(found)}"
    return f"{np.mean(solved):,.0f} ± {np.std(solved) / max(len(solved), 1) ** 0.5:,.0f}, {len(solved)} of {len(found)}"


def main() -> int:
    """Run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--box-seeds", type=int, default=5)
    parser.add_argument("--tasks", nargs="+", default=["xor", "poles", "boxes"])
    given = parser.parse_args()
    print_head()
    rows: list[Row] = []
    rates = Rates(power=1.0, add_node=0.05, add_link=0.1)
    for name, task, inputs in (("xor", xor, 2), ("poles", poles, 6)):
        if name not in given.tasks:
            continue
        begun = time.perf_counter()
        mine = [ours(task, inputs, seed, rates) for seed in range(given.seeds)]
        middle = time.perf_counter()
        rows.append(Row(f"{name}: evaluations until solved", told(mine)))
        try:
            peer = [theirs(task, inputs, seed) for seed in range(given.seeds)]
            rows.append(Row("    neat-python", told(peer)))
        except ImportError:
            rows.append(Row("    neat-python", "is not installed"))
        rows.append(Row("    seconds, theirs", f"{middle - begun:.0f}, {time.perf_counter() - middle:.0f}"))
    if "boxes" in given.tasks:
        for how, painted in (("painted: HyperNEAT", True), ("listed: NEAT, 14,641 links", False)):
            found = np.array([find_boxes(painted, seed, BOX_GENERATIONS) for seed in range(given.box_seeds)])
            off, new = found.mean(axis=0)
            rows.append(Row(f"boxes, {how}: cells off", f"{off:.2f}, new ones {new:.2f}"))
    return print_table(rows)


if __name__ == "__main__":
    sys.exit(main())
