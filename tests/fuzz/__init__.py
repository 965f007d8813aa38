"""What comes from outside costs bounded work before it is admitted: mutated inputs, and bounds."""
