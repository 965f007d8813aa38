"""What a constraint may cost.

JSON schemas and regular expressions from outside, judged before anything compiles them. Pure, linear in the
text; called wherever one comes in, long ones in a worker thread.
"""
