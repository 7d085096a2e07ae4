"""`python -m benchmarks COMMAND`: each measurement is a file of its own."""

import click

from benchmarks import (
    cluster,
    coverage,
    determinism,
    false_alarms,
    mistakes,
    mutation,
    operation_mistakes,
    operations,
    operations_from_outside,
    oracles,
    own_forward,
    peers,
    sensitivity,
    speed,
)

MEASUREMENTS = (
    false_alarms,
    sensitivity,
    mistakes,
    operation_mistakes,
    coverage,
    determinism,
    mutation,
    operations,
    operations_from_outside,
    oracles,
    own_forward,
    peers,
    speed,
    cluster,
)


@click.group()
def main() -> None:
    """Measure the judge: each command prints tables, and `--json PATH` keeps them."""


for _measurement in MEASUREMENTS:
    main.add_command(_measurement.command)

if __name__ == "__main__":
    main()
