"""Ensembles and distillation of tangent kernels, over parameters per target and the strengths of teacher and student.

    result = run(Config("smoke", "digits", parts=Path("parts")))
    result.rows()[0]                             # one setting at one ratio: single, and what every use adds to it
    print(result.claims()[0])

Five uses of networks that differ by seed (Allen-Zhu & Li 2020) are fitted in closed form, by ridge and by gradient
flow, with kernels as they are and normalised, in the full-output and the single-logit form, at several widths on
several independent draws of networks and images. A killed run goes on from the parts in its folder. Needs JAX and
neural-tangents.
"""

import numpy as np

from hilbertsd import ntk
from hilbertsd.ntk.ensembles import USES
from hilbertsd.studies import form
from hilbertsd.studies.ntk_ensembles.figures import figures
from hilbertsd.studies.ntk_ensembles.parts import Accuracies, Part, image_draws, network_of, stored
from hilbertsd.studies.ntk_ensembles.presets import FULL, PRESETS, Config
from hilbertsd.studies.ntk_ensembles.results import Result
from hilbertsd.support.files import output_folder
from hilbertsd.support.progress import TimeLeft, progress


def run(config: Config) -> Result:
    """Compute every part that its folder does not have, and put all together.

    Raises
    ------
    InvalidInput
        No folder for the parts; see also :func:`hilbertsd.data.image_split`.
    InvalidFile
        The data is missing or damaged, or the folder has parts of another configuration.
    MissingPackage
        JAX or neural-tangents is not installed.
    """
    preset, folder = PRESETS[config.preset], output_folder(config.parts_folder())
    draws = {name: image_draws(config, preset, name) for name in preset.sizes}
    # Draws come first, so that a run that is stopped has whole ones.
    parts = [Part(name, width, d) for d in range(preset.draws) for name in preset.sizes for width in preset.widths]
    found: dict[Part, Accuracies] = {}
    with progress("widths and draws", len(parts)) as bar:
        left = TimeLeft(len(parts))
        for done, part in enumerate(parts):
            bar.update(done, left.note(done))
            found[part] = stored(folder, preset, part, draws[part.form][1][part.draw], config.seed)
    accuracies = {
        name: {
            use: np.array([[found[Part(name, width, d)][use] for width in preset.widths] for d in range(preset.draws)])
            for use in USES
        }
        for name in preset.sizes
    }
    parameters, ratios = {}, {}
    for name, (_, images) in draws.items():
        shape, (n, k) = images[0].fitted.shape[1:], images[0].targets.shape
        parameters[name] = np.array(
            [ntk.n_parameters(network_of(preset, name, width, k), shape) for width in preset.widths]
        )
        ratios[name] = parameters[name] / (n * k if name == FULL else n)
    data = next(iter(draws.values()))[0]
    return Result(config, data, parameters, ratios, accuracies)


STUDY = form.Study("ntk-ensembles", __doc__, Config, run, figures)
