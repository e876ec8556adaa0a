"""Neural tangent kernels: architectures, their kernel matrices, and finite networks at initialisation (extra `ntk`)."""
