"""The command `manual-backprop`."""

import errno
import importlib
import io
import os
import secrets
import shlex
import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cluster import Cluster, ClusterError
from harness.configuration import Configured
from harness.isolation import IsolatedModule, Sandbox, SubjectFault
from harness.paths import NoSubjectError, expanded, left_out
from harness.pool import Executor, Judges, on_interrupt
from harness.worker import printable

if TYPE_CHECKING:
    from harness.resumption import Earlier
    from harness.session import Options

OTHER_COMMANDS = {
    "lesson": "lesson.command",
    "mistakes": "harness.mistakes",
    "new": "harness.new",
    "table": "harness.table",
}
"""Commands that live elsewhere, imported only when they are called."""

_FILE = click.Path(dir_okay=False, writable=True)
INTERRUPTED = 128 + signal.SIGINT
"""The status of a command that Ctrl-C ended, as shells have it: 1 would say that a subject fails."""
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EIO}
"""The errors of an output that takes nothing more."""
A_DAY = 24 * 60 * 60
USUAL, QUICK = 100, 25
"""Cases for each property, and with `--quick`."""
REPORTS = ("json_path", "junit", "html", "gradescope")


class _Commands(click.Group):
    """Finds the commands of `OTHER_COMMANDS` as well."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *OTHER_COMMANDS])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in OTHER_COMMANDS:
            return getattr(importlib.import_module(OTHER_COMMANDS[cmd_name]), cmd_name)
        return super().get_command(ctx, cmd_name)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if self.get_command(ctx, args[0]) is None and os.path.lexists(args[0]):
            raise click.UsageError(f"To judge {args[0]}, say: manual-backprop verify {shlex.join(args)}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            click.echo(
                f"\nInterrupted{f': {stop}' if stop.args else ' before there was a verdict'}.", err=True
            )
            ctx.exit(INTERRUPTED)
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise click.UsageError(f"The output can't be written: {error.strerror}.") from None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="manual-backprop")
def main() -> None:
    """Check a hand-written backward pass: is it right, and if not, which mistake is it?"""
    try:
        Path.cwd()
    except FileNotFoundError:
        raise click.UsageError("The folder that you are in is gone: change to one that exists.") from None
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who called us: the status is still told
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a console that has no ∂ shows a question mark


@main.command(cls=Configured)
@click.argument("subjects", nargs=-1, metavar="[FILE]...")
@click.option(
    "--cases",
    type=click.IntRange(min=1),
    help="Cases per property.  [default: 100; 25 with --quick and for bundled pages]",
)
@click.option(
    "--only", multiple=True, metavar="PROPERTY", help="Check only this property; may be given several times."
)
@click.option("--quick", is_flag=True, help="Fewer cases, and stop at the first property that fails.")
@click.option("--quiet", "-q", is_flag=True, help="Only the verdict, one line per file.")
@click.option("--verbose", "-v", is_flag=True, help="List the properties too.")
@click.option("--seed", type=click.IntRange(min=0), help="Repeat the run with this seed.")
@click.option(
    "--hints",
    type=click.IntRange(0, 2),
    default=2,
    show_default=True,
    help="How much to say about a mistake: 0 where it shows, 1 a hint as well, 2 its name and how to fix it.",
)
@click.option("--strict", is_flag=True, help="Count UNSTABLE as a failure.")
@click.option(
    "--python", metavar="PATH", help="The interpreter that runs the files; it needs what they import."
)
@click.option(
    "--sandbox",
    type=click.Choice(["auto", "namespace", "bubblewrap", "none"]),
    default="auto",
    show_default=True,
    help="How files are kept away from network, files and processes; auto takes the strongest that works here.",
)
@click.option(
    "--jobs", type=click.IntRange(min=1), help="Judge this many files at once.  [default: one per core]"
)
@click.option(
    "--dask",
    metavar="ADDRESS",
    help="Judge on the Dask cluster of this scheduler instead of on this machine.",
)
@click.option(
    "--time-limit",
    type=click.FloatRange(min=1, max=A_DAY),
    default=120,
    show_default=True,
    help="Seconds of processor time per file; sleeping counts a quarter, and one call may take a twelfth by the clock.",
)
@click.option(
    "--resume",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="REPORT",
    help="Judge only what is not in this report of --json with the same text, options and version.",
)
@click.option("--watch", is_flag=True, help="Judge again whenever a file changes, until Ctrl-C.")
@click.option("--show-output", is_flag=True, help="Show what the file printed.")
@click.option("--json", "json_path", type=_FILE, help="Write the results as JSON.")
@click.option("--junit", type=_FILE, help="Write the results as JUnit XML.")
@click.option("--html", type=_FILE, help="Write the results as one HTML page.")
@click.option("--gradescope", type=_FILE, help="Write the grade of one FILE for Gradescope.")
@click.option("--github", is_flag=True, help="Annotate the failing files and write the job summary.")
def verify(subjects: tuple[str, ...], **given: Any) -> None:
    """Verify what is in each FILE (or in all files of a folder), or the bundled network and pages of operations.

    Exit status: 0 if all pass, 1 if one fails or could not be judged, 2 for a usage error, 130 if interrupted.
    """
    paths = _paths(subjects)
    written = [path for name in REPORTS if (path := given[name]) is not None]
    _check_together(given, paths)
    _check_reports(written, paths)
    from harness.reports import Reports  # noqa: PLC0415  (as below)
    from harness.scratch import scratch  # noqa: PLC0415  (as below)

    only = _checked(given["only"])
    with scratch() as run_, _executor(paths, given) as judges:
        is_here = given["dask"] is None
        sandbox = _sandbox_of(given["python"], given["sandbox"]) if is_here else given["sandbox"]
        reports = Reports(written, run_)
        with on_interrupt(_leave):
            from harness.session import run  # noqa: PLC0415  (half a second to import: not for --help)
            from harness.watching import changed  # noqa: PLC0415  (likewise)

        options = _options(given, only, sandbox)
        try:
            status = run(paths, options, judges, reports)
            while options.judged_before and (paths := changed(subjects, options.judged_before.digests)):
                status = run(paths, options, judges, Reports(written, run_))
        except ClusterError as error:
            raise click.UsageError(str(error)) from None
        sys.exit(status)


def _paths(subjects: tuple[str, ...]) -> list[str]:
    """The files to judge. Raises a usage error."""
    try:
        paths = [path for subject in subjects for path in expanded(subject)]
    except NoSubjectError as error:
        raise click.UsageError(printable(str(error))) from None
    for subject in subjects:
        if count := left_out(subject):
            told = f"Not judged: the Python files in subfolders of {subject} ({count}). Name them, or the folders."
            click.echo(printable(told), err=True)
    return paths


def _check_together(given: dict[str, Any], paths: list[str]) -> None:
    """Raise a usage error for options that don't go together, or not with the files."""
    if given["gradescope"] and len(paths) > 1:
        raise click.UsageError(f"--gradescope takes one FILE, not {len(paths)}.")
    if given["gradescope"] and given["resume"]:
        raise click.UsageError("--resume is for many files, and --gradescope for one.")
    if given["watch"] and given["resume"]:
        raise click.UsageError("--resume goes on once, and --watch judges again and again.")
    if given["watch"] and not any(map(os.path.isfile, paths)):
        raise click.UsageError("--watch needs a FILE to watch.")
    if given["watch"] and find_spec("watchfiles") is None:
        raise click.UsageError("--watch needs watchfiles: pip install 'manual-backprop[watch]'.")
    if given["dask"] is not None and given["jobs"]:
        raise click.UsageError(
            "--jobs is for this machine; a cluster judges as many as its workers have threads."
        )


def _options(given: dict[str, Any], only: tuple[str, ...], sandbox: Sandbox) -> "Options":
    """The call as the session takes it. Raises a usage error of a report that can't be gone on from."""
    from harness.resumption import Earlier, Kept, ReportError  # noqa: PLC0415  (as in `verify`)
    from harness.session import Options  # noqa: PLC0415  (likewise)

    try:
        earlier = Earlier(given["resume"]) if given["resume"] else None
    except ReportError as error:
        raise click.UsageError(str(error)) from None
    return Options(
        cases=given["cases"] or (QUICK if given["quick"] else USUAL),
        page_cases=given["cases"] or QUICK,
        only=only,
        quick=given["quick"],
        quiet=given["quiet"],
        verbose=given["verbose"],
        seed=_seed(given["seed"], earlier),
        hints=given["hints"],
        strict=given["strict"],
        python=given["python"],
        seconds=given["time_limit"],
        sandbox=sandbox,
        show_output=given["show_output"],
        json=given["json_path"],
        junit=given["junit"],
        html=given["html"],
        gradescope=given["gradescope"],
        github=given["github"],
        earlier=earlier,
        judged_before=Kept() if given["watch"] else None,
    )


def _seed(given: int | None, earlier: "Earlier | None") -> int:
    """The one that was given, or that of the report to go on from, or any."""
    known = given if given is not None or earlier is None else earlier.seed
    return secrets.randbelow(2**32) if known is None else known


def _executor(paths: list[str], given: dict[str, Any]) -> Executor:
    """The processes of this machine that judge, or a cluster. Raises a usage error where that can't be had."""
    if given["dask"] is not None:
        try:
            cluster = Cluster(given["dask"], python=given["python"], sandbox=given["sandbox"])
        except ClusterError as error:
            raise click.UsageError(str(error)) from None
        if not cluster.nodes:
            click.echo(f"The cluster {given['dask']} has no workers yet: the files wait for one.", err=True)
        return cluster
    jobs = given["jobs"] or os.cpu_count() or 1
    return Judges(jobs, len(paths) or jobs)


def _checked(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names of properties, with spaces or without. Raises a usage error for one that there is not."""
    if not names:
        return ()
    from harness.judging import known  # noqa: PLC0415  (as above)

    try:
        return known(names)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _leave(*_: object) -> None:
    """End at once: judges see it, and so does what keeps the temporary files."""
    os.write(2, b"\nInterrupted before there was a verdict.\n")
    os._exit(INTERRUPTED)


def _sandbox_of(python: str | None, sandbox: Sandbox) -> Sandbox:
    """The sandbox that all files get, chosen before the first could spoil the choice.

    Raises a usage error where no file could be run as it was asked for: that is no fault of the files.
    """
    module = IsolatedModule("nothing.py", python=python, sandbox=sandbox)
    try:
        module.probe()
    except SubjectFault as fault:
        raise click.UsageError(str(fault)) from None
    return module.sandbox


def _check_reports(reports: list[str], subjects: list[str]) -> None:
    """Raise a usage error where a report can't be written, or would take the place of something else."""
    for path in map(Path, reports):
        if str(path) == "-":
            raise click.UsageError("A report is written to a file: - doesn't name one.")
        if path.suffix == ".py" or any(path.resolve() == Path(subject).resolve() for subject in subjects):
            raise click.UsageError(f"A report would overwrite {path}: give it a different name.")
        if not path.parent.is_dir():
            raise click.UsageError(f"{path} can't be written: there is no folder {path.parent}.")
    if len({Path(path).resolve() for path in reports}) < len(reports):
        raise click.UsageError("Two reports have the same name: the second would overwrite the first.")


if __name__ == "__main__":
    main()
