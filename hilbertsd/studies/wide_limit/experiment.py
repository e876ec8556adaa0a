"""Networks distilled into themselves as the theory has it, beside the infinite kernel's chains, over widths.

    result = run(Config("smoke", parts=Path("parts")))
    result.rows()[0]                             # a setting, a width and a round: distance from the limit
    result.claims()

Networks without normalisation whose outputs start at zero are fitted with the penalty c_t ‖θ − θ₀‖², with the
multipliers of the infinite kernel's path, or by gradient descent until their error is ε. The first tend to the path,
the others to the kernel's chain of gradient flows. The study measures how fast, in every round, and looks for where
that fails: large learning rates, depth, the standard parameterisation, small ε. A killed run goes on from the chains in
its folder. Needs JAX and neural-tangents.
"""

from hilbertsd.studies import form
from hilbertsd.studies.wide_limit.figures import figures
from hilbertsd.studies.wide_limit.limits import Limit, Problem, limit_of
from hilbertsd.studies.wide_limit.measures import Measures
from hilbertsd.studies.wide_limit.presets import PRESETS, Config, Setting
from hilbertsd.studies.wide_limit.results import Result
from hilbertsd.support.files import output_folder
from hilbertsd.support.progress import TimeLeft, progress


def run(config: Config) -> Result:
    """Train every chain that the folder does not hold.

    Raises
    ------
    InvalidInput
        No folder for the chains.
    InvalidFile
        The folder has chains of another configuration, or cannot be written.
    MissingPackage
        JAX or neural-tangents is not installed.
    """
    from hilbertsd.studies.wide_limit.parts import SEEDS_APART, stored  # JAX is imported where something runs

    preset, folder = PRESETS[config.preset], output_folder(config.parts_folder())
    problem, plan = Problem.of(preset, config.seed), list(preset.plan())
    limits: dict[tuple[Setting, int], Limit] = {}
    measures: dict[tuple[Setting, int], Measures] = {}
    seeds = range(SEEDS_APART * config.seed, SEEDS_APART * config.seed + preset.seeds)
    with progress("chains", len(plan) * len(seeds)) as bar:
        left, done = TimeLeft(len(plan) * len(seeds)), 0
        for setting, width in plan:
            limits[setting, width] = limit = limit_of(setting, width, problem)
            chains = []
            for seed in seeds:
                bar.update(done, left.note(done))
                chains.append(stored(folder, setting, width, seed, problem, limit))
                done += 1
            measures[setting, width] = Measures.of(chains, limit)
    return Result(config, problem.name, limits, measures)


STUDY = form.Study("wide-limit", __doc__, Config, run, figures)
