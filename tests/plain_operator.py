"""A kernel operator of an array."""

from hilbertsd.gram import KernelOperator


class Plain(KernelOperator):
    """The least that an operator needs: it says nothing of itself, so that the targets stay alone in their block."""

    def __init__(self, matrix):
        self.matrix = matrix

    @property
    def shape(self):
        return self.matrix.shape

    def multiply(self, block):
        return self.matrix @ block
