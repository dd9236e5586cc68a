"""Run preference-tuning studies on Ray, with MLflow as their record.

The modules here are the commands: `python -m orchestrator.sweep` or `preference-orchestrator sweep`.
The folders beside them hold what they use: `study` (what is asked), `record` (what is known), `plan` (what is
left) and `run` (how it runs).
"""
