"""What a student is taught: label smoothing, distillation and its parts, and what they change.

    partial = PartialTargets("kd-topk", alpha=0.9, temperature=4.0, k=3)
    targets = partial(labels, logits=teacher_outputs)     # (n, K), for kernels
    path = hilbertsd.distill(kernel_matrix, targets, tolerance=0.05)

    taught = partial.of_teacher(labels, logits=teacher_outputs)
    distillation_loss(outputs, labels, taught, partial.alpha, partial.temperature)   # (n,), for networks

Every method is a function, too: `label_smoothing`, `kd`, `kd_pt`, `kd_sim`, `kd_pt_sim`, `kd_topk`, `kd_rel`.
:mod:`hilbertsd.targets.invariance` derives which of them change which decisions of kernel regression;
`gradient_rescaling` is what distillation does to the gradients of a network.

Arrays are of any library of the Python array API standard, and keep their floating type.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
