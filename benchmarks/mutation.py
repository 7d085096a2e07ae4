"""Mutation testing: one token of the source changes, and the tests have to notice.

cosmic-ray makes the mutants. Each is judged in a process of its own, by the test files that are about its
module, the cheapest first, until one fails. The mutated source lives in that process's memory alone, so
the checkout stays as it is. The processes are forked from one that has imported JAX and pytest and nothing
of ours, which saves most of a start, and runs no thread yet.

A survivor of `manual_backprop` that isn't listed in `survivors.toml`, with the reason why no test can
tell it from the original, is a failure.
"""

import os
import signal
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from itertools import takewhile
from multiprocessing import connection, get_all_start_methods, get_context
from pathlib import Path
from random import Random
from time import monotonic, process_time
from types import CodeType
from typing import Any

import click
import pytest
from hypothesis import Phase, settings
from rich.console import Console
from rich.progress import track

from benchmarks.report import Table, json_option, show

ROOT = Path(__file__).parent.parent
SURVIVORS = Path(__file__).with_name("survivors.toml")
ALWAYS = "manual_backprop/*"
"""What is judged where no pattern is given, and where every survivor has to be listed."""

SWAPS = (
    "Add_Sub",
    "Sub_Add",
    "Mul_Div",
    "Div_Mul",
    "Pow_Mul",
    "FloorDiv_Mul",
    "Mod_Mul",
    "BitOr_BitAnd",
    "BitAnd_BitOr",
)
EDGES = (
    "Lt_LtE",
    "LtE_Lt",
    "Gt_GtE",
    "GtE_Gt",
    "Lt_Gt",
    "Gt_Lt",
    "LtE_GtE",
    "GtE_LtE",
    "Eq_NotEq",
    "NotEq_Eq",
)
OPERATORS = (
    *(f"ReplaceBinaryOperator_{swap}" for swap in SWAPS),
    *(f"ReplaceComparisonOperator_{swap}" for swap in (*EDGES, "Is_IsNot", "IsNot_Is")),
    *(f"ReplaceUnaryOperator_Delete_{a}" for a in ("USub", "Not", "Invert")),
    *(
        "NumberReplacer",
        "ReplaceTrueWithFalse",
        "ReplaceFalseWithTrue",
        "ReplaceAndWithOr",
        "ReplaceOrWithAnd",
    ),
    *("AddNot", "ReplaceBreakWithContinue", "ReplaceContinueWithBreak", "ZeroIterationForLoop"),
    "ExceptionReplacer",
)
"""Of cosmic-ray's operators those that make sense here: no shifts of floats, no `is` for `==`, and no
decorator removed (`@cache` and `frozen=True` change no number)."""

PROPERTIES = "network"
"""The test that runs all of them over the bundled backward pass."""
LAYERS = (
    *("layers::test_the_layer_is_the_reference_s", "layers::test_backward_equals_complex_steps"),
    *("meta/by_hand", "where_averaging_ends", "layers", "cross_derivatives"),
)
ENDS = (
    *(
        f"where_averaging_ends::test_{name}"
        for name in (
            "in_fractions_gradient_is_the_difference_quotient_and_the_average_to_the_last_digit",
            "ragged_and_weighted_parts_count_by_the_sum_of_their_weights",
        )
    ),
    "where_averaging_ends",
)
DIAGNOSIS = {
    name: tuple(f"meta/diagnosis::test_{test}" for test in tests)
    for name, tests in {
        "guards": (
            "an_epsilon_in_the_gradient_is_found_and_taken_out",
            "an_epsilon_in_the_loss_is_found_and_taken_out",
            "neither_a_right_gradient_nor_a_mistake_is_an_epsilon",
        ),
        "losses": ("what_is_wrong_with_a_loss_is_told",),
        "structure": (
            "a_right_gradient_in_another_order_is_told_to_be_one",
            "outputs_that_meet_all_targets_are_named",
        ),
    }.items()
} | {
    "edges": ("meta/edges",),
    "wording": ("meta/wording",),
    "contributions": ("meta/wording",),
    **dict.fromkeys(
        ("networks", "wrong_steps", "other_programs", "network_search"),
        ("meta/network_operation", "meta/unnamed"),
    ),
    **dict.fromkeys(("trials", "search", "operations"), ("meta/mutations", "meta/messages")),
    "steps": ("meta/steps",),
    "corners": ("meta/edges", "meta/diagnosis::test_the_condition_is_told_under_which_a_gradient_is_wrong"),
}
"""Of the diagnosis, what is about a module alone; then comes the rest."""

TESTS = {
    "manual_backprop/stack.py": ("meta/by_hand", *ENDS, "layers"),
    "manual_backprop/layers.py": LAYERS,
    "manual_backprop/mistakes/operations/*": ("meta/pages",),
    "manual_backprop/mistakes/*": (
        "meta/mistakes",
        "meta/diagnosis::test_every_variant_of_the_catalogue_is_named",
    ),
    "manual_backprop/averages.py": ("meta/by_hand", *ENDS),
    "manual_backprop/operations/*": ("meta/pages",),
    "manual_backprop/*": (
        "meta/by_hand",
        "meta/exact",
        PROPERTIES,
        "layers",
        "where_averaging_ends",
        "meta/seed_figures",
    ),
    "reference/layers.py": (*LAYERS[:2], *ENDS[:2], "layers", "cross_derivatives", "where_averaging_ends"),
    "reference/differences.py": (
        "meta/differences",
        PROPERTIES,
        "layers",
    ),
    "reference/slopes/*": ("meta/slopes",),
    "reference/exact.py": ("meta/exact", PROPERTIES),
    "reference/chain.py": ("meta/network_truth", "meta/by_hand", "layers"),
    "reference/network_truth.py": ("meta/network_truth", "meta/by_hand", PROPERTIES),
    "reference/*": ("meta/by_hand", "meta/exact", PROPERTIES),
    "properties/comparison.py": ("meta/comparison", "meta/by_hand", PROPERTIES),
    **{f"properties/diagnosis/{name}.py": (*tests, "meta/diagnosis") for name, tests in DIAGNOSIS.items()},
    "properties/diagnosis/*": ("meta/diagnosis", "meta/unnamed", "meta/edges"),
}
"""Which tests judge which modules: the first pattern that fits, the cheapest first; a single test of a file
searches without shrinking what it finds."""

KILLED, TIMEOUT, SURVIVED, LISTED = "killed", "timeout", "survived", "listed"

PYTEST = (
    *("-x", "-q", "-n", "0", "-p", "no:cacheprovider", "-p", "no:anyio", "--tb", "no"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # pytest runs several times in one process
)
PRELOADED = [
    "benchmarks.mutation",
    "hypothesis.extra.numpy",
    "jax.numpy",
    "jax.scipy.special",
    "xdist.plugin",
]
MEMORY = 12 * 2**30  # in bytes, of addresses; JAX reserves more than it uses


@dataclass(frozen=True)
class Mutant:
    """One change of one file, `inside` the function of that name."""

    file: str
    line: int
    inside: str
    operator: str
    occurrence: int

    def source(self) -> str:
        """The mutated file."""
        text = (ROOT / self.file).read_text(encoding="utf-8")
        operator = _cosmic_ray("plugins").get_operator(self.operator)()
        return _cosmic_ray("mutating").mutate_code(text, operator, self.occurrence)


def _cosmic_ray(module: str) -> Any:
    try:
        return import_module(f"cosmic_ray.{module}")
    except ModuleNotFoundError:
        raise click.ClickException("This needs an extra: pip install -e '.[test,mutation]'.") from None


def mutants(file: str) -> Iterator[Mutant]:
    """Every mutant of a file, but for those of annotations, decorators and the bare `*` of a signature."""
    nodes = tuple(
        _cosmic_ray("ast").ast_nodes(_cosmic_ray("ast").get_ast((ROOT / file).read_text(encoding="utf-8")))
    )
    for short in OPERATORS:
        operator = _cosmic_ray("plugins").get_operator(f"core/{short}")()
        positions = ((node, start) for node in nodes for start, _ in operator.mutation_positions(node))
        for occurrence, (node, start) in enumerate(positions):
            if not _says_nothing(node):
                inside = _cosmic_ray("ast.ast_query").ASTQuery(node).get_definition_name() or ""
                yield Mutant(file, start[0], inside, f"core/{short}", occurrence)


def _says_nothing(node: Any) -> bool:
    if node.type == "operator" and node.parent.type in ("parameters", "lambdef"):
        return True
    while node.parent is not None:
        parent = node.parent
        if parent.type in ("decorator", "tfpdef"):
            return True
        if parent.type == "annassign" and node is parent.children[1]:
            return True
        if parent.type == "funcdef" and node is parent.annotation:
            return True
        node = parent
    return False


def changed(before: str, after: str) -> tuple[str, str]:
    """What differs, before and after, without indentation: mostly a line; of a loop that is emptied, several."""
    old, new = ([line.strip() for line in text.splitlines()] for text in (before, after))
    start = _alike(old, new)
    end = _alike(old[start:][::-1], new[start:][::-1])
    return " ".join(old[start : len(old) - end]), " ".join(new[start : len(new) - end])


def _alike(one: Sequence[str], other: Sequence[str]) -> int:
    """How many lines two texts begin with in common."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


# Judging ----------------------------------------------------------------------------------------------


class _Mutated(MetaPathFinder, SourceFileLoader):
    """Finds one module, with a source that is in no file."""

    def __init__(self, file: str, source: str) -> None:
        SourceFileLoader.__init__(
            self, file.removesuffix(".py").removesuffix("/__init__").replace("/", "."), file
        )
        self.source = source

    def find_spec(self, fullname: str, path: object, target: object = None) -> ModuleSpec | None:
        """The module by its name, wherever Python looks for it."""
        del path, target
        return spec_from_file_location(fullname, self.path, loader=self) if fullname == self.name else None

    def get_code(self, fullname: str) -> CodeType:
        """The mutated source compiled, and kept nowhere."""
        del fullname
        return compile(self.source, self.path, "exec", dont_inherit=True)


class _FirstFailure:
    """A plugin of pytest that keeps the name of the test that failed."""

    name = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.name = self.name or report.nodeid


def _judge(mutated: _Mutated | None, tests: Sequence[str], limit: int, answer: connection.Connection) -> None:
    """Run the test files in a process of its own until one fails; send pytest's status and the test's name."""
    import resource  # noqa: PLC0415  (Windows has none)

    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    os.chdir(ROOT)
    if ours := {"manual_backprop", "reference", "properties"} & sys.modules.keys():
        raise RuntimeError(f"{ours} are imported already, without a mutation")
    if mutated is not None:
        sys.meta_path.insert(0, mutated)
    searching = (Phase.explicit, Phase.generate)
    settings.register_profile("unshrunk", derandomize=True, database=None, deadline=None, phases=searching)
    watch, status = _FirstFailure(), 0
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        for test in tests:
            profile = "unshrunk" if "::" in test else "ci"
            status = int(pytest.main([*PYTEST, "--hypothesis-profile", profile, test], plugins=[watch]))
            if status:
                break
    answer.send((status, watch.name, process_time()))


@dataclass(frozen=True)
class Task:
    """What is to be judged: a mutated file, or with `source` None the original."""

    key: Any
    file: str
    source: str | None
    limit: int


def tests_of(file: str) -> tuple[str, ...]:
    """The test files that judge a module, the cheapest first."""
    return tuple(
        f"properties/{'meta/' * (folder == 'meta')}test_{file_name}.py{separator}{test}"
        for name in next(names for pattern, names in TESTS.items() if fnmatch(file, pattern))
        for place, separator, test in [name.partition("::")]
        for folder, _, file_name in [place.rpartition("/")]
    )


@dataclass(frozen=True)
class Judgement:
    """Whether the tests noticed, which one did, and the processor time in seconds."""

    key: Any
    verdict: str
    by: str = ""
    seconds: float = 0


def judgements(tasks: Iterable[Task], jobs: int) -> Iterator[Judgement]:
    """Judge the tasks, `jobs` at a time, each in a new process, as they come to an end."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # a fork has no threads of its parent
    context = get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    waiting, running = iter(tasks), dict[Any, tuple[Any, Any, float, Task]]()
    while True:
        while len(running) < jobs and (task := next(waiting, None)):
            receiver, sender = context.Pipe(duplex=False)
            mutated = None if task.source is None else _Mutated(task.file, task.source)
            process = context.Process(target=_judge, args=(mutated, tests_of(task.file), task.limit, sender))
            process.start()
            sender.close()
            running[process.sentinel] = process, receiver, monotonic() + 10 * task.limit, task
        if not running:
            return
        ended = connection.wait(list(running), timeout=1)
        for sentinel, (process, receiver, deadline, task) in list(running.items()):
            if sentinel not in ended and monotonic() < deadline:
                continue
            process.kill()  # where it waits for something that never comes
            process.join()
            del running[sentinel]
            yield _judgement(task, process.exitcode, receiver)


def _judgement(task: Task, exitcode: int, receiver: Any) -> Judgement:
    if exitcode in (-signal.SIGXCPU, -signal.SIGKILL):
        return Judgement(task.key, TIMEOUT, seconds=task.limit)
    if exitcode:
        return Judgement(task.key, KILLED, "on import")
    status, failed, seconds = receiver.recv()
    return Judgement(task.key, KILLED if status else SURVIVED, failed or "on import" * bool(status), seconds)


# Reporting --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Survivor:
    """An entry of `survivors.toml`: a line of a function, what a mutant makes of it, and why no test can tell."""

    file: str
    inside: str
    before: str
    after: str
    reason: str


def listed() -> list[Survivor]:
    """The entries of `survivors.toml`."""
    return [Survivor(**entry) for entry in tomllib.loads(SURVIVORS.read_text(encoding="utf-8"))["survivor"]]


def files_of(patterns: Sequence[str]) -> list[str]:
    """The files that the patterns name; without a pattern, `manual_backprop`."""
    packages = ("manual_backprop", "reference", "properties")
    names = sorted(
        path.relative_to(ROOT).as_posix() for name in packages for path in (ROOT / name).rglob("*.py")
    )
    if not patterns:
        return [name for name in names if fnmatch(name, ALWAYS)]
    found = [name for name in names if any(fnmatch(name, pattern) for pattern in patterns)]
    for name in found or patterns:
        if not any(fnmatch(name, pattern) for pattern in TESTS):
            raise click.UsageError(
                f"No tests are known for {name}; TESTS in {__name__} lists those that are."
            )
    return found


def limits(files: Sequence[str], jobs: int) -> dict[tuple[str, ...], int]:
    """Run the tests without a mutant: they have to pass; the seconds that they may take with one."""
    tasks = {tests_of(file): Task(tests_of(file), file, None, 600) for file in files}
    found: dict[tuple[str, ...], int] = {}
    for judgement in judgements(tasks.values(), jobs):
        if judgement.verdict != SURVIVED:
            raise click.ClickException(f"{judgement.by} fails without a mutant; mend that first.")
        found[judgement.key] = 10 + int(3 * judgement.seconds)
    return found


@click.command("mutation")
@click.argument("patterns", nargs=-1)
@click.option("--sample", type=click.IntRange(min=1), help="Judge so many mutants, drawn at random.")
@click.option("--seed", default=0, show_default=True, help="Which sample.")
@click.option("--jobs", default=os.cpu_count() or 1, show_default=True, help="Processes at a time.")
@click.option("--all", "judge_listed", is_flag=True, help="Judge those in survivors.toml as well.")
@json_option
def command(
    patterns: tuple[str, ...],
    sample: int | None,
    seed: int,
    jobs: int,
    path: Path | None,
    *,
    judge_listed: bool,
) -> None:
    """Change the source, one token at a time, and count what the tests notice.

    PATTERNS name files, such as 'reference/*'; without one, it is manual_backprop.
    """
    if "forkserver" not in get_all_start_methods():
        raise click.ClickException("Mutation testing forks its processes, which this system can't.")
    files = files_of(patterns)
    chosen = [mutant for file in files for mutant in mutants(file)]
    if sample is not None and sample < len(chosen):
        chosen = Random(seed).sample(chosen, sample)  # noqa: S311  (no secret)
    most = limits(files, jobs)
    known = {(entry.file, entry.inside, entry.before, entry.after) for entry in listed()}
    counts: dict[str, Counter[str]] = {file: Counter() for file in files}
    survivors: list[tuple[str, ...]] = []
    killers: Counter[str] = Counter()
    seconds = 0.0

    def tasks() -> Iterator[Task]:
        for mutant in chosen:
            source = mutant.source()
            before, after = changed((ROOT / mutant.file).read_text(encoding="utf-8"), source)
            if (mutant.file, mutant.inside, before, after) in known and not judge_listed:
                counts[mutant.file][LISTED] += 1
                continue
            yield Task((mutant, before, after), mutant.file, source, most[tests_of(mutant.file)])

    console = Console(stderr=True)
    progress = track(judgements(tasks(), jobs), "Judging mutants", total=len(chosen), console=console)
    for judgement in progress:
        mutant, before, after = judgement.key
        is_known = (mutant.file, mutant.inside, before, after) in known
        counts[mutant.file][LISTED if is_known and judgement.verdict == SURVIVED else judgement.verdict] += 1
        seconds += judgement.seconds
        if judgement.verdict == KILLED:
            killers[judgement.by.partition("::")[0]] += 1
        if (judgement.verdict == SURVIVED) != is_known:
            state = "listed, but killed" if is_known else "survived"
            survivors.append((f"{mutant.file}:{mutant.line}", mutant.inside, before, after, state))
            console.print(*survivors[-1], sep=" | ", markup=False, highlight=False, soft_wrap=True)

    rows = [_row(file, counts[file]) for file in files] + [_row("together", sum(counts.values(), Counter()))]
    columns = ("module", "mutants", "killed", "timeout", "listed", "survived", "score")
    note = f"score: noticed of those not listed; {seconds / 60:.1f} minutes of processor time"
    tables = [
        Table("Mutants by module", columns, rows, note),
        Table("Which tests notice", ("test file", "mutants"), killers.most_common()),
    ]
    show("mutation", tables, path)
    if any(fnmatch(survivor[0], ALWAYS) for survivor in survivors):
        raise SystemExit(1)


def _row(name: str, count: Counter[str]) -> tuple[Any, ...]:
    judged = count.total() - count[LISTED]
    score = f"{1 - count[SURVIVED] / judged:.1%}" if judged else ""
    return name, count.total(), count[KILLED], count[TIMEOUT], count[LISTED], count[SURVIVED], score
