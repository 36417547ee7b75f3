"""Backward rules of relevance methods (DeepLIFT, LRP) at the level of torch functions."""
