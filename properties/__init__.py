"""What holds of every right derivative, for any subject that meets the contract.

`search` turns a sentence that holds, a property, into a search for a counterexample, and `comparison` is the one place
where numbers are compared; neither knows what is under test. `network/` lists the properties of a network's gradient;
`problem` says what such a subject claims, and `strategies` draws cases of it. `diagnosis/` names mistakes. The tests
run the same lists over what is bundled, and `meta/` tests all of this.
"""
