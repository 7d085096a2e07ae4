"""Our own judge among the checkers that are compared; the others are installed with `.[peers]` alone."""

import manual_backprop
from benchmarks.checkers import CHECKERS, subject
from manual_backprop.mistakes import MISTAKES


def test_our_judge_accepts_what_is_right_and_names_a_mistake() -> None:
    ours, name = CHECKERS["manual-backprop"], "one_output_only"
    assert ours.check(subject(manual_backprop.gradient, "6-4-3")).message == ""
    answer = ours.check(subject(MISTAKES[name].variants[0][1], "6-4-3"))
    assert answer.message
    assert name in answer.names
