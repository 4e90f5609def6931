"""The backend "gpu": compute shaders in WGSL, through the package `wgpu`."""
