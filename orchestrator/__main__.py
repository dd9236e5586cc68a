"""`python -m orchestrator` is the same as `preference-orchestrator`."""

from functools import partial

from orchestrator import cli, console

if __name__ == "__main__":
    cli.exit_with(partial(console.main, program="python -m orchestrator"))
