"""The forward passes whose derivatives are known to the last digit: `operation` says what one is."""
