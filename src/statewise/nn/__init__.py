"""Around the cells: blocks, backbones and encoders."""
