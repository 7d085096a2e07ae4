"""`python -m benchmarks`: the measurements that are no tests."""

import click

from benchmarks import (
    coverage,
    determinism,
    false_alarms,
    mistakes,
    mutation,
    operations,
    oracles,
    own_forward,
    peers,
    sensitivity,
    speed,
)


@click.group()
def main() -> None:
    """Measure the judge, and the bundled backprop; benchmarks/README.md has the figures."""


for _measurement in (
    false_alarms,
    sensitivity,
    mistakes,
    coverage,
    determinism,
    mutation,
    operations,
    oracles,
    own_forward,
    peers,
    speed,
):
    main.add_command(_measurement.main)

if __name__ == "__main__":
    main()
