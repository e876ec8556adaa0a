"""The network of the multi-view theorems, its losses and its training.

    network = ViewNetwork(n_classes=10)
    samples = MultiView().draw(800, seed=0)
    trained = train_view_networks(network, samples.features, samples.labels, noise=1.2, seeds=range(10))
    trained[0].learned                           # (10, 2) which views of which class the first network knows

Training needs JAX, Flax and Optax (extra `networks`), and raises MissingPackage where one is missing.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
