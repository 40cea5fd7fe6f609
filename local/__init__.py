"""The local stack: the packaged Slipway on an emulated AWS, with real task processes."""
