"""What a constraint may cost.

Json schemas and regular expressions from outside, judged before anything compiles them.
"""
