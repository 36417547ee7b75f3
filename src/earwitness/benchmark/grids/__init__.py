"""The grids of published tables, run on data sets and models of today."""
