"""`python -m benchmarks COMMAND`: each measurement is a file of its own."""

import click

from benchmarks import (
    coverage,
    determinism,
    false_alarms,
    mistakes,
    mutation,
    operations_from_outside,
    oracles,
    peers,
    sensitivity,
    speed,
)


@click.group()
def main() -> None:
    """Measure the judge: each command prints tables, and `--json PATH` keeps them."""


for _measurement in (
    *(
        false_alarms,
        sensitivity,
        mistakes,
        coverage,
        determinism,
        mutation,
        operations_from_outside,
        oracles,
        peers,
        speed,
    ),
):
    main.add_command(_measurement.command)

if __name__ == "__main__":
    main()
