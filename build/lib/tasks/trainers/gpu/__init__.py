"""Training on one NVIDIA GPU, with Triton kernels."""
