"""What is asked: the study file, its seeds and resources, the grid, and the identity of a cell."""
