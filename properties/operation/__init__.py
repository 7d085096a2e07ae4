"""The properties of an operation's derivative: the one list that `manual-backprop verify` runs through for each."""

from properties.operation import batches, checks
from properties.operation.judge import Judge
from properties.search import Kind, Property

FEWER = 0.2
"""A property of the calls shows in a few cases whether it holds: it hangs on the code, and not on the numbers."""

PROPERTIES: tuple[Property[Judge], ...] = (
    Property(
        checks.result_meets_the_contract, checks.regular_cases, Kind.CONTRACT, is_decisive=True, share=FEWER
    ),
    Property(checks.same_call_gives_the_same_answer, checks.regular_cases, share=FEWER),
    Property(checks.gradient_equals_the_derivative, checks.regular_cases, Kind.TRUTH, is_decisive=True),
    Property(checks.gradient_is_right_at_the_edges, checks.edge_cases, Kind.EDGES, share=0.5),
    Property(checks.gradient_is_right_in_single_precision, checks.single_cases, Kind.TRUTH, share=0.5),
    Property(checks.value_equals_the_reference, checks.known_cases, Kind.VALUE, share=0.5),
    Property(checks.scaling_the_cotangent_scales_the_gradient, checks.regular_cases, share=FEWER),
    Property(checks.second_backward_gives_the_same, checks.regular_cases, share=FEWER),
    Property(checks.forward_leaves_its_inputs_alone, checks.regular_cases, share=FEWER),
    Property(checks.memory_layout_does_not_matter, checks.regular_cases, share=FEWER),
    Property(batches.gradient_of_a_batch_is_that_of_its_samples, batches.batches, share=FEWER / 2),
    Property(batches.order_of_samples_does_not_matter, batches.batches, share=FEWER / 2),
    Property(batches.doubled_batch_has_the_gradient_of_its_halves, batches.batches, share=FEWER / 2),
    Property(
        checks.second_derivative_is_that_of_the_gradient,
        checks.cases_of_second_order,
        Kind.TRUTH,
        share=FEWER,
    ),
)
