"""The lesson: one mistake of the chain rule, five minutes, every number computed.

`setting` is the network, the digits and the choices; `content` computes the `Lesson`; `story` has the
words. `terminal`, `page` and `notebook` show it and compute nothing.
"""
