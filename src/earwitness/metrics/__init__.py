"""Metrics of explanations: functions of arrays, one family per file."""
