"""The law: what holds of every right gradient, for any subject that meets the contract.

`problem` says what a subject claims, `strategies` draws cases of it, `comparison` is the one place
where numbers are compared, `law` turns a sentence that holds into a search for a counterexample, and
each `test_*.py` states such sentences. `meta/` tests the judge itself.
"""
