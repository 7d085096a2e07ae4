"""The properties of a network's gradient: the one list that `manual-backprop verify` and pytest run through.

A check is a function of a subject and an example, named as the sentence that holds; each module has those of one
subject matter. The order is the one in which a subject meets them: the contract first, and then the truth.
"""

from properties.network import against_the_truth, averaging, chain_rule, on_the_seed_problem, purity
from properties.search import Kind, Property
from properties.subjects import Subject

FEWER = 0.25
"""A relation between answers hangs on the code, and not on the numbers: where it breaks, most cases show it."""

PROPERTIES: tuple[Property[Subject], ...] = (
    Property(
        against_the_truth.result_meets_the_contract,
        against_the_truth.all_cases,
        Kind.CONTRACT,
        is_decisive=True,
    ),
    Property(
        against_the_truth.gradient_equals_autodiff, against_the_truth.all_cases, Kind.TRUTH, is_decisive=True
    ),
    Property(against_the_truth.gradient_predicts_forward_mode, against_the_truth.small_cases, Kind.TRUTH),
    Property(
        against_the_truth.gradient_equals_finite_differences, against_the_truth.seeded_cases, Kind.TRUTH
    ),
    Property(against_the_truth.gradient_equals_exact_differences, against_the_truth.fractions, Kind.TRUTH),
    Property(against_the_truth.gradient_is_right_at_the_edges, against_the_truth.edge_cases, Kind.EDGES),
    Property(against_the_truth.loss_equals_the_reference, against_the_truth.all_cases, Kind.VALUE),
    Property(averaging.per_sample_average_equals_whole_batch, averaging.batches, share=FEWER),
    Property(averaging.per_sample_average_equals_whole_batch_exactly, averaging.fractions),
    Property(averaging.average_weighted_by_size_equals_whole_batch, averaging.batches, share=FEWER),
    Property(averaging.unweighted_mean_of_unequal_parts_is_wrong, averaging.unequal_batches, share=FEWER),
    Property(averaging.sum_over_samples_is_n_times_the_mean, averaging.sums, share=FEWER),
    Property(averaging.minibatch_step_is_the_average_of_single_steps, averaging.batches, share=FEWER),
    Property(
        averaging.steps_one_after_another_are_not_a_minibatch_step, averaging.unequal_batches, share=FEWER
    ),
    Property(chain_rule.total_derivative_sums_every_path, chain_rule.small_cases, Kind.TRUTH),
    Property(chain_rule.total_derivative_of_two_outputs_is_exact, chain_rule.fractions, Kind.TRUTH),
    Property(chain_rule.dropping_cross_output_terms_is_wrong, chain_rule.cells, share=FEWER),
    Property(chain_rule.one_output_keeps_one_path_of_k_for_hidden_layers, chain_rule.cells, share=FEWER),
    Property(chain_rule.dropping_cross_sample_terms_is_wrong, chain_rule.cells, share=FEWER),
    Property(
        chain_rule.single_term_rule_is_exact_where_cross_derivatives_vanish,
        chain_rule.pairs_of_outputs,
        Kind.TRUTH,
    ),
    Property(purity.gradient_is_pure, purity.all_cases, share=FEWER),
    Property(purity.answer_does_not_depend_on_earlier_calls, purity.pairs, share=0.5),
    Property(purity.memory_layout_does_not_matter, purity.all_cases, share=FEWER),
    Property(purity.order_of_samples_does_not_matter, purity.all_cases, share=FEWER),
    Property(
        purity.batch_doubled_with_itself_has_the_same_mean_gradient, purity.batches_of_any_size, share=0.5
    ),
    Property(
        on_the_seed_problem.gradient_is_right_on_the_seed_problem,
        on_the_seed_problem.teacher_cases,
        Kind.TRUTH,
    ),
    Property(
        on_the_seed_problem.per_sample_average_equals_whole_batch_on_the_seed_problem,
        on_the_seed_problem.teacher_cases,
    ),
    Property(
        on_the_seed_problem.gradient_is_right_on_handwritten_digits,
        on_the_seed_problem.digit_cases,
        Kind.TRUTH,
    ),
)
